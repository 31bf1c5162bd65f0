"""The event loop of a worker whose stage has coroutines.

Workers import this file at the first coroutine or asynchronous generator: a stage without any pays
nothing. There is one loop for the whole life of a worker, so that a client made in `setup` still
works in `process`.
"""

import asyncio

__all__ = ["Loop"]


class Loop:
    """An event loop that runs whenever something of the stage's waits for it."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)

    def settle(self, coroutine):
        """What a coroutine returns."""
        return self._loop.run_until_complete(coroutine)

    def close(self):
        """Ends what the stage has left running in it."""
        loop = self._loop
        try:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
