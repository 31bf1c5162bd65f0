"""A worker of Ray without its environment, which reports that to all its tasks.

Ray waits a minute for a worker that ends before it has registered, starts it again, and repeats
that forever; a task that needs it never ends. So Ray's own interpreter runs this in place of the
environment's interpreter, with the arguments of Ray's workers. It registers like any other worker,
and fails the first task or actor with the error. It runs no code of theirs.
"""

import os
import runpy
import sys

from ray._private import function_manager, worker
from ray.exceptions import RuntimeEnvSetupError

MESSAGE = os.environ.pop("CURATOR_RAY_REFUSAL")


def refuse(*_args, **_kwargs):
    raise RuntimeEnvSetupError(MESSAGE)


class Refused:
    """In the place of an actor's class."""

    __init__ = refuse


# The worker ends after one call, so that Ray asks the launcher again for the next task.
REFUSAL = function_manager.FunctionExecutionInfo(refuse, "refuse", max_calls=1)

manager = function_manager.FunctionActorManager
manager.get_execution_info = lambda *_: REFUSAL
manager.increase_task_counter = lambda *_: None
manager.get_task_counter = lambda *_: REFUSAL.max_calls
manager.load_actor_class = lambda *_: Refused
# Arguments may have classes that only the environment has.
worker.Worker.deserialize_objects = refuse

sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
