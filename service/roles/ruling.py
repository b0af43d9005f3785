"""The site's rules and the packages they name, as the stage that routes wants them."""

from models.chains import bound
from models.registry import BUILT_IN, PackageError, find
from service import route
from service.core.errors import ConfigurationError
from service.edge.yaml_file import nearest
from service.settings import Settings, place_of_rule


def router_for(settings: Settings) -> route.Router:
    """The site's rules with the packages they name. Raises ConfigurationError when one is broken or absent."""
    try:
        packages = find((BUILT_IN, *settings.package_folders))
    except PackageError as error:
        raise ConfigurationError(str(error)) from error
    for index, rule in enumerate(settings.rules):
        if rule.model not in packages:
            place = place_of_rule(settings, index, "model")
            sentence = f"rule {rule.name!r} names the model {rule.model!r}, which no package has"
            raise ConfigurationError(f"{place}: {sentence}; {nearest(rule.model, packages)}")
        try:
            bound(packages[rule.model], packages)
        except PackageError as error:
            raise ConfigurationError(f"{place_of_rule(settings, index, 'model')}: {error}") from error
    return route.Router(settings.rules, packages, settings.node.inferring.allowed)
