"""Fits a line to a cloud of points, over and over: work for the processor, and a line of progress now and then."""

import random

chance = random.Random(3)
points = [(x / 500, 3 * x / 500 - 1 + chance.gauss(0, 0.1)) for x in range(500)]
for run in range(1, 1000):
    slope = offset = 0.0
    for epoch in range(1, 61):
        errors = [slope * x + offset - y for x, y in points]
        slope -= 0.4 * sum(error * x for error, (x, _) in zip(errors, points, strict=True)) / len(points)
        offset -= 0.4 * sum(errors) / len(points)
        if epoch % 10 == 0:
            loss = sum(error * error for error in errors) / len(points)
            print(f"run {run} epoch {epoch} loss {loss:.5f} y = {slope:.3f} x {offset:+.3f}", flush=True)
