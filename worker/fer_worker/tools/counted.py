"""Numbers of things, in grammatical words."""


def counted(number: int, one: str, several: str | None = None) -> str:
    """Say how many: `1 frame`, `2 frames`, `1,000 batches`.

    Args:
        number: how many.
        one: what a single one is called.
        several: what others are called; with an `s` if not given.
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
