"""Numbers as they are shown: rounding must not contradict the decision."""

MOST_DECIMALS = 6


def decimals_for(probability: float, threshold: float, least: int) -> int:
    """The fewest decimals with which a probability below the threshold is shown below it.

    0.2279 against 0.2305 is "0.228 < 0.231", not "0.23 < 0.23".

    Args:
        probability: in [0, 1].
        threshold: in [0, 1].
        least: decimals in the usual case.

    Returns:
        A number from `least` to `MOST_DECIMALS`.
    """
    if probability >= threshold:
        return least
    for decimals in range(least, MOST_DECIMALS):
        if round(probability, decimals) < round(threshold, decimals):
            return decimals
    return MOST_DECIMALS
