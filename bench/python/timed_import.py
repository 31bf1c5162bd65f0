"""A stage that tells how much processor time its import of pandas took."""

import time

begun = time.process_time()
import pandas  # noqa: E402

SECONDS = time.process_time() - begun


class TimedImport:
    def __init__(self, pause):
        self.pause = pause

    def process(self, task):
        time.sleep(self.pause)
        return {"seconds": SECONDS, "pandas": pandas.__version__}
