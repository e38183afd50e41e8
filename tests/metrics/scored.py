"""Cases that hypothesis makes: scores with ties, labels of both classes, patients."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

quick = settings(max_examples=40, deadline=None)


@st.composite
def scored_cases(draw, min_size=2, max_size=40, least_of_each=1):
    """Probabilities on a coarse or a fine grid, and labels with both classes."""
    n = draw(st.integers(max(min_size, 2 * least_of_each), max_size))
    steps = draw(st.sampled_from([3, 10, 10_000]))
    scores = draw(arrays(np.int64, n, elements=st.integers(0, steps))) / steps
    labels = draw(arrays(np.bool_, n))
    labels[:least_of_each] = True
    labels[least_of_each : 2 * least_of_each] = False
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(n)
    return scores[order], labels[order]
