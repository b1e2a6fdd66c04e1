"""What jobs are told to compute on, and whether they ask for a GPU."""

import pytest

import gpu


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A file that stands for a driver's, and what torch would answer."""

    def there(*, found: bool):
        file = tmp_path / "driver"
        file.touch()
        monkeypatch.setattr(gpu, "DRIVERS", (str(file),))
        monkeypatch.setattr(gpu, "_torch_finds_one", lambda: found)

    return there


@pytest.mark.parametrize(("wanted", "count"), [("cpu", 0), ("cuda", 1), ("cuda:1", 1), ("nonsense", 0)])
def test_what_the_user_says_is_passed_on_for_the_programs_to_judge(wanted, count):
    assert gpu.decided(wanted) == wanted
    assert gpu.per_job(wanted) == count


def test_without_a_driver_torch_is_not_even_asked(monkeypatch):
    monkeypatch.setattr(gpu, "DRIVERS", ("/nonexistent/driver",))
    monkeypatch.setattr(gpu, "_torch_finds_one", lambda: pytest.fail("asked"))
    assert gpu.decided("auto") == "cpu"


@pytest.mark.parametrize(("found", "device"), [(True, "cuda"), (False, "cpu")])
def test_with_a_driver_torch_decides(driver, found, device):
    driver(found=found)
    assert gpu.decided("auto") == device
