"""`python -m devstack.stack up`."""

import sys

from devstack.stack.commands import main

main(sys.argv[1:])
