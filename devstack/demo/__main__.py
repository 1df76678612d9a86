"""`python -m devstack.demo`."""

from devstack.demo.demo import demo
from devstack.stack.interruption import run_command

run_command(demo())
