"""Which transfer syntaxes the installed plugins decode, told without loading one."""

from importlib.util import find_spec

from service.core.transfer_syntaxes import PLUGIN_MODULES, PLUGIN_PACKAGES, PLUGINS


def missing_package(transfer_syntax_uid: str) -> str:
    """What has to be installed before images of a transfer syntax can be decoded; empty when nothing has."""
    plugin = PLUGINS.get(transfer_syntax_uid)
    if plugin is None or all(find_spec(module) for module in PLUGIN_MODULES[plugin]):
        return ""
    return PLUGIN_PACKAGES[plugin]
