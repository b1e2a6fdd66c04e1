"""The device of jobs, and their requests for a GPU."""

import pytest

import gpu


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A file in place of a driver, and torch's answer."""

    def install(*, has_gpu: bool):
        file = tmp_path / "driver"
        file.touch()
        monkeypatch.setattr(gpu, "DRIVERS", (str(file),))
        monkeypatch.setattr(gpu, "_torch_finds_one", lambda: has_gpu)

    return install


@pytest.mark.parametrize(("wanted", "count"), [("cpu", 0), ("cuda", 1), ("cuda:1", 1), ("nonsense", 0)])
def test_the_user_s_choice_is_passed_on_to_the_programs(wanted, count):
    assert gpu.decided(wanted) == wanted
    assert gpu.per_job(wanted) == count


def test_without_a_driver_torch_is_not_loaded(monkeypatch):
    monkeypatch.setattr(gpu, "DRIVERS", ("/nonexistent/driver",))
    monkeypatch.setattr(gpu, "_torch_finds_one", lambda: pytest.fail("asked"))
    assert gpu.decided("auto") == "cpu"


@pytest.mark.parametrize(("has_gpu", "device"), [(True, "cuda"), (False, "cpu")])
def test_with_a_driver_torch_decides(driver, has_gpu, device):
    driver(has_gpu=has_gpu)
    assert gpu.decided("auto") == device
