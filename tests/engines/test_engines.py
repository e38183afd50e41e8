"""One network, several engines: the same numbers, and a plain word where one cannot run."""

import json
import threading

import numpy as np
import pytest

from pleura import Predictor
from pleura.cli.main import main
from pleura.engines import Engine, engine_of, open_network
from pleura.engines import onnx_runtime as onnx_runtime_room
from pleura.errors import MissingDependencyError, ModelError
from pleura.inference.manifest import Manifest, sha256_of
from pleura.outputs import json_line
from pleura.phantom import draw, spec_for, write_dicom
from tiny_model import SIZE, radiograph, write_model

openvino = pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("tiny") / "model", flip_average=True, lopsided=True)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    paths = [folder / f"{seed}.dcm" for seed in (1, 2)]
    for seed, path in zip((1, 2), paths, strict=True):
        write_dicom(draw(spec_for(seed, pneumothorax=seed == 1)), path)
    return paths


def _of_this_processor(engine):
    """Whether bfloat16 is what `openvino-bf16` computes with on this machine."""
    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return engine is not Engine.OPENVINO_BF16 or "BF16" in capabilities


def test_openvino_gives_what_onnx_runtime_gives(model):
    image = radiograph()
    ours, theirs = (
        Predictor.load(model, engine=engine).predict(image, always_segment=True)
        for engine in (None, Engine.OPENVINO)
    )
    assert theirs.probability == pytest.approx(ours.probability, abs=1e-6)
    assert theirs.uncertainty == pytest.approx(ours.uncertainty, abs=1e-6)
    np.testing.assert_allclose(theirs.probability_map, ours.probability_map, atol=1e-5)
    assert (ours.model.engine, theirs.model.engine) == (Engine.ONNXRUNTIME, Engine.OPENVINO)
    assert ours.model.sha256 == theirs.model.sha256


@pytest.mark.parametrize(
    ("engine", "tolerance"), [(Engine.OPENVINO, 1e-3), (Engine.OPENVINO_BF16, 0.3)]
)
def test_the_embedded_model_says_the_same_in_openvino(phantoms, engine, tolerance):
    ours, theirs = (Predictor.load(engine=name, threads=1) for name in (None, engine))
    gaps = []
    for path in phantoms:
        first, second = ours.predict_raw(path), theirs.predict_raw(path)
        assert second.logit == pytest.approx(first.logit, abs=tolerance)
        assert second.network_map == pytest.approx(first.network_map, abs=tolerance)
        gaps.append(abs(second.logit - first.logit))
    if engine is Engine.OPENVINO_BF16 and _of_this_processor(engine):
        assert max(gaps) > 1e-4  # or it would be float32 under another name


def test_threads_do_not_disturb_each_other(model):
    """The service and the page judge from several threads with one network."""
    predictor = Predictor.load(model, engine=Engine.OPENVINO)
    images = [radiograph(level=value) for value in (0.02, 0.1, 0.2, 0.3)]
    expected = [predictor.predict(image).probability for image in images]
    found = [[] for _ in images]

    def judge(place):
        for _ in range(25):
            found[place].append(predictor.predict(images[place]).probability)

    threads = [threading.Thread(target=judge, args=(place,)) for place in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for values, value in zip(found, expected, strict=True):
        assert values == [value] * 25


def test_results_stay_when_the_network_runs_again(model):
    """The engine's own buffers are used again; what was handed out must not change."""
    manifest = Manifest.read(model)
    network = open_network(
        model / "classifier.onnx", manifest.classifier.sha256, 1, Engine.OPENVINO
    )
    first = network.run(["logit"], {"image": np.zeros((1, 1, SIZE, SIZE), np.float32)})[0]
    kept = first.copy()
    network.run(["logit"], {"image": np.ones((1, 1, SIZE, SIZE), np.float32)})
    np.testing.assert_array_equal(first, kept)


def test_an_ir_is_run_from_the_bytes_that_were_hashed(model, tmp_path):
    network = openvino.Core().read_model(model / "classifier.onnx")
    xml, weights = tmp_path / "classifier.xml", tmp_path / "classifier.bin"
    openvino.save_model(network, xml, compress_to_fp16=False)
    beside = (weights, sha256_of(weights))
    image = np.full((1, 1, SIZE, SIZE), 0.3, np.float32)
    own = open_network(model / "classifier.onnx", sha256_of(model / "classifier.onnx"), 1)
    theirs = open_network(xml, sha256_of(xml), 1, weights=beside)
    expected = own.run(["logit"], {"image": image})[0]
    np.testing.assert_allclose(theirs.run(["logit"], {"image": image})[0], expected, atol=1e-5)
    weights.write_bytes(bytes(len(weights.read_bytes())))
    with pytest.raises(ModelError, match="SHA-256"):
        open_network(xml, sha256_of(xml), 1, weights=beside)


def test_an_ir_is_for_openvino_alone():
    assert engine_of("classifier.xml", None) is Engine.OPENVINO_BF16
    assert engine_of("classifier.xml", Engine.OPENVINO) is Engine.OPENVINO
    assert engine_of("classifier.onnx", None) is Engine.ONNXRUNTIME
    with pytest.raises(ModelError, match="cannot run it"):
        engine_of("classifier.xml", Engine.CUDA)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "classifier.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(ModelError, match="OpenVINO cannot load"):
        open_network(path, sha256_of(path), 1, Engine.OPENVINO)


@pytest.mark.parametrize("engine", [Engine.CUDA, Engine.TENSORRT])
def test_without_a_gpu_build_the_user_is_told_what_to_install(model, engine):
    import onnxruntime

    provider = onnx_runtime_room.PROVIDERS[engine][0]
    if provider in onnxruntime.get_available_providers():
        pytest.skip(f"this ONNX Runtime has {provider}")
    with pytest.raises(MissingDependencyError, match="onnxruntime-gpu") as caught:
        Predictor.load(model, engine=engine)
    assert provider in caught.value.message


def test_a_gpu_that_does_not_answer_is_no_silent_processor(model, monkeypatch):
    """ONNX Runtime falls back to the processor; whoever asked for a GPU must hear of it."""
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(ModelError, match=r"could not start CUDA|cannot load"):
        Predictor.load(model, engine=Engine.CUDA)


def test_the_line_says_which_engine_spoke(model, phantoms):
    prediction = Predictor.load(model, engine=Engine.OPENVINO).predict(phantoms[0])
    assert json.loads(json_line(prediction))["model"]["engine"] == "openvino"


def test_the_command_takes_an_engine(model, phantoms, capsys):
    arguments = ["predict", str(phantoms[0]), "--model", str(model), "--gate", "off", "--jsonl"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--engine", "openvino"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["model"]["engine"] == "openvino"
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--engine", "abacus"])
    assert ended.value.code == 2
    assert "none of onnxruntime, openvino" in " ".join(capsys.readouterr().err.split())


def test_the_embedded_model_passes_its_self_test_in_openvino(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["selftest", "--engine", "openvino"])
    assert ended.value.code == 0, capsys.readouterr().out
