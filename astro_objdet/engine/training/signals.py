"""Ctrl-C and SIGTERM let a step end; the second Ctrl-C does not wait."""

import contextlib
import signal
import threading

__all__ = ["StopRequest", "leave_signals_to_parent"]


class StopRequest(contextlib.AbstractContextManager):
    """While this context lasts, a signal to stop sets `wanted` and does nothing else.

    In other threads than the main one, where Python has no handlers, signals do what they
    always do.
    """

    def __init__(self):
        self.wanted = False
        #: What the processes of a run agreed on, and after which step.
        self.agreed, self.agreed_at = False, -1
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _heard(self, number, frame):
        if self.wanted and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.wanted = True


def leave_signals_to_parent(worker):
    """For worker processes that read images: a signal to the whole group is not theirs.

    They end with the process that started them.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
