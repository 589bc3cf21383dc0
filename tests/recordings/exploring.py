"""Every schedule of some operations: each order in which their AWS calls can follow each other, each place once."""

from collections.abc import Callable

from tests.recordings.stepping import History, Machine, Operation, Outcome
from tests.recordings.worlds import World

Look = Callable[[World, bool], None]
Compare = Callable[[World, World], None]


class Explorer:
    """Visits every place that the operations can come to. A place is what is stored, and how far each of them is.

    `look` hears of each place and whether all have ended there, `compare` of what is stored before and after a call.
    Both raise AssertionError for what must not be.
    """

    def __init__(
        self, machine: Machine, *operations: Operation, look: Look, compare: Compare = lambda before, after: None
    ) -> None:
        self.machine, self.operations, self.look, self.compare = machine, operations, look, compare
        self.schedules: dict[tuple[World, tuple[History, ...]], int] = {}
        self.path: list[str] = []

    def explore(self, world: World) -> int:
        """Returns how many schedules there are. Raises AssertionError that tells the one with a fault."""
        try:
            return self.visit(world, tuple(() for _ in self.operations))
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.path])) from error

    def visit(self, world: World, histories: tuple[History, ...]) -> int:
        place = world, histories
        if place in self.schedules:
            return self.schedules[place]
        calls = [self.machine.next(*each) for each in zip(self.operations, histories, strict=True)]
        total = int(all(isinstance(call, Outcome) for call in calls))
        self.look(world, bool(total))
        for number, call in enumerate(calls):
            if isinstance(call, Outcome):
                assert call.status < 500, f"{self.operations[number]} ends in {call}"
                continue
            reply, after = self.machine.step(world, call)
            self.path.append(f"{'    ' * number}{self.operations[number]}: {call} {reply}")
            self.compare(world, after)
            total += self.visit(after, (*histories[:number], (*histories[number], reply), *histories[number + 1 :]))
            self.path.pop()
        self.schedules[place] = total
        return total
