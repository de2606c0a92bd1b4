"""Settles orders, until one makes no sense."""

ORDERS: list[dict[str, int | str]] = [
    {"id": 4709, "customer": "ada"},
    {"id": 4710, "customer": "grace"},
    {"id": 4711},
]


def settle(order: dict[str, int | str]) -> None:
    """Raises ValueError for one without a customer."""
    if "customer" not in order:
        raise ValueError(f"order {order['id']} has no customer")
    print(f"order {order['id']} of {order['customer']} is settled", flush=True)


for order in ORDERS:
    settle(order)
