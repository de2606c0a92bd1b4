"""The tests of a small function, one of which fails."""

import unittest


def total(prices: list[float], discount: int = 0) -> float:
    """The sum of ``prices``, less ``discount`` percent."""
    return round(sum(prices) * (100 - discount) / 100, 2)


class Total(unittest.TestCase):
    """What `total` does."""

    def test_of_nothing_is_nothing(self) -> None:
        self.assertEqual(total([]), 0)

    def test_adds_prices(self) -> None:
        self.assertEqual(total([1.5, 2.25]), 3.75)

    def test_takes_the_discount_off(self) -> None:
        self.assertEqual(total([100], discount=15), 85)

    def test_rounds_half_a_cent_up(self) -> None:
        self.assertEqual(total([0.125]), 0.13)


if __name__ == "__main__":
    unittest.main()
