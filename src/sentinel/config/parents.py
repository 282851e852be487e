"""What hangs on what must end somewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence


def cycles(parents: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """One cycle for each knot of targets that hang on themselves, each target in its path once."""
    done: set[str] = set()
    for start in parents:
        if start in done:
            continue
        path: list[str] = []
        on_path: dict[str, int] = {}
        stack: list[tuple[str, int]] = [(start, 0)]
        while stack:
            here, index = stack.pop()
            if index == 0:
                on_path[here] = len(path)
                path.append(here)
            following = parents.get(here, ())
            if index < len(following):
                stack.append((here, index + 1))
                parent = following[index]
                if parent in on_path:
                    yield path[on_path[parent] :]
                elif parent in parents and parent not in done:
                    stack.append((parent, 0))
                continue
            done.add(here)
            path.pop()
            del on_path[here]
