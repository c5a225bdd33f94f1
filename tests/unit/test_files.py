"""Files are whole or absent."""

from pathlib import Path

import pytest

from tracekit.errors import TracekitError
from tracekit.files import writing


def test_a_file_takes_its_name_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.pt.trace.json.gz"
    with writing(target) as temporary:
        assert temporary.name.endswith(".json.gz")
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert [p.name for p in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_a_fault_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, fault: type[BaseException]
) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(fault), writing(target) as temporary:
        temporary.write_text("half")
        raise fault
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TracekitError, match="cannot be written"), writing(tmp_path / "file" / "x"):
        pass
    with pytest.raises(TracekitError, match="folder"), writing(tmp_path):
        pass


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    with pytest.raises(TracekitError, match="No space left"), writing(target):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())
