"""How a model does on synthetic radiographs, which it may have been trained on by other seeds.

    python benchmarks/phantoms.py [--model M] [--count 40]

Seeds 1 to COUNT, odd ones with a pneumothorax, each sent through a DICOM file. Shares with Wilson's
95 % interval, AUC with DeLong's; Dice is the mean over the positives, mask made for every one.
"""

import argparse

import numpy as np

from pleura import Predictor
from pleura.metrics import delong_interval, proportion
from pleura.phantom import draw, spec_for, to_dicom


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--count", type=int, default=40)
    options = parser.parse_args()
    predictor = Predictor.load(options.model)
    labels, logits, probabilities, dices = [], [], [], []
    for seed in range(1, options.count + 1):
        phantom = draw(spec_for(seed, pneumothorax=seed % 2 == 1))
        raw = predictor.predict_raw(to_dicom(phantom))
        labels.append(int(phantom.mask.any()))
        logits.append(raw.logit)
        probabilities.append(raw.probability)
        if phantom.mask.any():
            air = raw.letterbox.invert(raw.network_map) >= predictor.manifest.mask.threshold
            overlap = 2 * np.count_nonzero(air & phantom.mask)
            dices.append(overlap / (np.count_nonzero(air) + np.count_nonzero(phantom.mask)))
    label, probability = np.array(labels), np.array(probabilities)
    auc = delong_interval(np.array(logits), label)
    print(f"{predictor.model.name} {predictor.model.version}, {options.count} phantoms")
    print(f"AUC {auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]")
    print(f"Dice, positives {np.mean(dices):.3f}, n = {len(dices)}")
    for point in predictor.manifest.operating_points:
        called = probability >= point.threshold
        rights = {"sensitivity": called[label == 1], "specificity": ~called[label == 0]}
        for name, right in rights.items():
            share = proportion(right)
            print(
                f"{point.name:<10} {name} {share.value:.3f} [{share.low:.3f}, {share.high:.3f}],"
                f" {right.sum()} of {len(right)}"
            )


if __name__ == "__main__":
    main()
