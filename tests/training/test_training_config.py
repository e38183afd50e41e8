import pytest
import yaml

from pleura.errors import ConfigError
from pleura.training.config import ScheduleConfig, load_config
from tiny_run import config, raw_config, write_config


@pytest.fixture
def path(tmp_path):
    return write_config(tmp_path, tmp_path / "run")


def test_overrides_reach_nested_keys(path):
    loaded = load_config(
        path,
        (
            "seed=7",
            "optimiser.learning_rate=2e-4",
            "network.options.dropout=0.1",
            "schedule.sizes=[[0, 32], [1, 64]]",
            "data.validation_fold=null",
            "data.limit=5",
        ),
    )
    assert loaded.seed == 7
    assert loaded.optimiser.learning_rate == 2e-4
    assert loaded.network.options["dropout"] == 0.1
    assert loaded.network.options["growth_rate"] == 4  # its neighbours stay
    assert loaded.schedule.sizes == ((0, 32), (1, 64))
    assert loaded.data.validation_fold is None
    assert loaded.data.limit == 5


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("learning_rate=1", "learning_rate"),
        ("optimiser.momentum=0.9", "optimiser.momentum"),
        ("data.workers=-1", "data.workers"),
        ("data.positive_fraction=1.0", "data.positive_fraction"),
        ("augmentation.gamma=[2, 1]", "augmentation.gamma"),
        ("hardware.precision=8-bit", "hardware.precision"),
        ("schedule.epochs=many", "schedule.epochs"),
        ("schedule.epochs.first=1", "schedule.epochs"),
        ("schedule.sizes=[[1, 32]]", "sizes must start at epoch 0"),
        ("schedule.sizes=[[0, 32], [3, 64], [2, 64]]", "rising order"),
        ("schedule.sizes=[[0, 128]]", "data.cache_size 64 is below the image size 128"),
        ("preprocessing.size=96", "data.cache_size 64 is below the image size 96"),
        ("preprocessing.pad_value=0.5", "preprocessing.pad_value"),
        ("data.index=null", "data.index"),
    ],
)
def test_a_bad_key_or_value_is_named(path, override, named):
    with pytest.raises(ConfigError) as caught:
        load_config(path, (override,))
    assert named in caught.value.message


@pytest.mark.parametrize("override", ["schedule.epochs", "=3", "seed: 3"])
def test_what_is_not_key_and_value(path, override):
    with pytest.raises(ConfigError, match="not of the form key=value"):
        load_config(path, (override,))


def test_a_value_that_is_not_yaml(path):
    with pytest.raises(ConfigError, match=r"schedule\.sizes"):
        load_config(path, ("schedule.sizes=[[0, 32]",))


def test_every_problem_is_named_at_once(path):
    with pytest.raises(ConfigError) as caught:
        load_config(path, ("seeds=1", "loss.dice=-1"))
    assert "seeds" in caught.value.message
    assert "loss.dice" in caught.value.message


@pytest.mark.parametrize("text", ["", "output: run", "- a list", "a: [1", "\x00"])
def test_a_file_that_is_no_configuration(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError):
        load_config(tmp_path / "c.yaml")


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")


def test_size_by_epoch():
    schedule = ScheduleConfig(epochs=5, sizes=((0, 192), (3, 256)))
    assert schedule.size_by_epoch() == (192, 192, 192, 256, 256)
    assert ScheduleConfig(epochs=2, sizes=((0, 64), (9, 128))).size_by_epoch() == (64, 64)


def test_what_a_run_writes_can_be_read_again(tmp_path):
    first = config(tmp_path, tmp_path / "run", "augmentation.flip=0.25")
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(first.model_dump(mode="json")))
    assert load_config(tmp_path / "again.yaml") == first


def test_the_shipped_configurations_are_valid(pytestconfig):
    shipped = sorted((pytestconfig.rootpath / "configs").glob("*.yaml"))
    assert shipped
    for path in shipped:
        load_config(path)


def test_the_tiny_configuration_has_no_key_of_its_own(tmp_path):
    assert set(raw_config(tmp_path, tmp_path)) <= set(config(tmp_path, tmp_path).model_dump())
