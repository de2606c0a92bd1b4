"""Reads all that there is into memory, which does not suffice."""

rows: list[bytearray] = []
while True:
    rows.append(bytearray(8 << 20))
    print(f"{len(rows) * 8} MiB of rows read", flush=True)
