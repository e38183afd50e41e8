"""`pleura selftest`: hold the model against the results that its manifest stores."""

from typing import Annotated

import typer

from pleura.cli.console import DISCLAIMER, say
from pleura.cli.options import EngineName, Threads, engine_named
from pleura.errors import ModelError

DISAGREEMENT = 1


def selftest(
    model: Annotated[str | None, typer.Option(help="Name or folder of a model.")] = None,
    threads: Threads = None,
    engine: EngineName = None,
) -> None:
    """Judge synthetic radiographs and compare with the results recorded at the model's release.

    Exit status: 0 all agree (probability within 0.02, area within 5 %); 1 some do not; 2 there is
    no such model, or it records no cases.
    """
    from pleura.inference import Predictor
    from pleura.inference.selftest import compare

    predictor = Predictor.load(model, threads=threads, engine=engine_named(engine))
    cases = predictor.manifest.selftest
    if not cases:
        raise ModelError(
            "The model's manifest records no self-test cases.",
            "Export the model again with self-test cases, or use another model.",
        )
    say(f"{predictor.model.name} {predictor.model.version}, {len(cases)} synthetic radiographs")
    wrong = 0
    for case in cases:
        comparison = compare(predictor, case)
        wrong += not comparison.agrees
        measured = comparison.measured
        say(
            f"{'agrees' if comparison.agrees else 'DIFFERS':<8} seed {case.seed:<6}"
            f" {'pneumothorax' if case.pneumothorax else 'none':<13}"
            f" probability {measured.probability:.4f} (recorded {case.probability:.4f})"
            f"  area {measured.area_px} px (recorded {case.area_px})"
        )
    say(f"{len(cases) - wrong} of {len(cases)} agree. {DISCLAIMER}")
    raise typer.Exit(DISAGREEMENT if wrong else 0)
