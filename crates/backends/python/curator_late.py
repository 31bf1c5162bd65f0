"""What a stage's code declares once it runs.

The first look is at the object as its constructor left it, and is compared with the plan. What a
hook or the work itself declares later is told too, since the plan could not take it in.
"""

from curator_code import attributes_of, declared

__all__ = ["Declarations"]

# What a stage's code may come to declare while it works: other settings have names that such code
# gives to what it works on.
_WATCHED = frozenset(
    (
        "batch_size",
        "isolation",
        "max_attempts",
        "num_workers",
        "num_workers_per_node",
        "recycle_after_tasks",
        "resources",
        "runtime_env",
        "task_timeout_seconds",
    )
)


class Declarations:
    """What the object of a stage's own code declares, as of the last look at it."""

    def __init__(self, own):
        self._own = own
        # Those of what declares for the stage before all others.
        self._attributes = attributes_of(own)
        # No batch has been worked off yet.
        self._is_first = True
        self.look()

    def look(self):
        """Takes what is declared now as known."""
        self.known = declared(self._own)
        own = self._attributes
        # The attributes that are settings, as they are now.
        self._seen = (
            {} if _WATCHED.isdisjoint(own) else {it: own[it] for it in _WATCHED if it in own}
        )

    def may_have_changed(self):
        """Whether a batch may have declared something since the last look."""
        if self._is_first:
            # The first look is at what the class has, too.
            self._is_first = False
            return True
        own, seen = self._attributes, self._seen
        if not seen:
            return not _WATCHED.isdisjoint(own)
        return any(own.get(it, seen) is not seen.get(it, seen) for it in _WATCHED)

    def since(self, when):
        """Looks again, and gives what has been declared since the last look: `when` is the method
        in which it was."""
        before = self.known
        self.look()
        told = before.get("settings", {})
        settings = {
            name: found
            for name, found in self.known.get("settings", {}).items()
            if found != told.get(name)
        }
        near = [it for it in self.known.get("near", ()) if it not in before.get("near", ())]
        if when.startswith("process"):
            settings = {name: found for name, found in settings.items() if name in _WATCHED}
            near = []
        if not (settings or near):
            return {}
        return {"settings": settings, "near": near, "when": when}
