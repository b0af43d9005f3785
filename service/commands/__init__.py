"""What people ask of a node, one file per question; the command line hands over to these."""
