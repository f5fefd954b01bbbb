"""Which of a machine's devices a rank computes on, as the vendor's library counts them."""

import os


def visible_device(variables: tuple[str, ...], local_rank: int) -> int | str:
    """Return the number or the UUID of device ``local_rank`` among those that the first variable set makes visible."""
    for variable in variables:
        if listed := os.environ.get(variable):
            names = [name.strip() for name in listed.split(",")]
            if local_rank < len(names):
                name = names[local_rank]
                return int(name) if name.isdigit() else name
    return local_rank
