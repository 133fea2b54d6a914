"""A forecaster's files: saved whole, never over something else, and checked before they are used."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
from forecaster_made_up import LEVELS, table, train

from raysearch.data import Transform
from raysearch.errors import StudyError
from raysearch.forecaster import load_forecaster


@pytest.fixture(scope="module")
def plain():
    return train(("lightgbm", "xgboost"))


@pytest.fixture(scope="module")
def growth():
    return train(transform=Transform("log", "nav"))


@pytest.mark.parametrize("kind", ["plain", "growth"])
def test_a_saved_forecaster_predicts_the_same_bits(request, tmp_path, kind):
    made = request.getfixturevalue(kind)
    path = made.save(tmp_path / "deep" / "model")
    again = load_forecaster(path)
    pd.testing.assert_frame_equal(again.predict(table(50, 1)), made.predict(table(50, 1)), check_exact=True)
    assert (again.levels, again.target, again.about) == (LEVELS, "nav ahead", made.about)
    assert again.save(tmp_path / "copy") and load_forecaster(tmp_path / "copy").members == made.members


def test_only_json_and_the_libraries_own_files_are_stored(plain, tmp_path):
    files = sorted(str(f.relative_to(tmp_path)) for f in plain.save(tmp_path / "m").rglob("*") if f.is_file())
    levels = [f"m/members/000/level_{i:03d}.txt" for i in range(3)]
    assert files == ["m/forecaster.json", *levels, "m/members/001/model.ubj"]
    assert (tmp_path / "m/members/000/level_000.txt").read_text(encoding="utf-8").startswith("tree\n")
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_saving_replaces_the_old_one_whole(plain, growth, tmp_path):
    plain.save(tmp_path / "m")
    growth.save(tmp_path / "m")
    assert load_forecaster(tmp_path / "m").members == growth.members
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert not (tmp_path / "m/members/001").exists()


@pytest.mark.parametrize("at", ["dumps", "replace"])
def test_a_crash_while_saving_leaves_the_old_one(plain, growth, tmp_path, monkeypatch, at):
    plain.save(tmp_path / "m")
    with monkeypatch.context() as patch:

        def crash(*args, **words):
            raise RuntimeError("power cut")

        def crash_at_second(self, target, count=[0]):  # noqa: B006 - counts calls
            count[0] += 1
            if count[0] == 2:
                raise RuntimeError("power cut")
            return self.rename(target)

        if at == "replace":
            patch.setattr("pathlib.Path.replace", crash_at_second)
        else:
            patch.setattr(f"raysearch.forecaster_files.json.{at}", crash)
        with pytest.raises(RuntimeError, match="power cut"):
            growth.save(tmp_path / "m")
    assert load_forecaster(tmp_path / "m").members == plain.members
    growth.save(tmp_path / "m")
    assert load_forecaster(tmp_path / "m").members == growth.members
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_saving_never_deletes_what_is_no_forecaster(plain, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    for path in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(StudyError, match="is there and is no forecaster"):
            plain.save(path)
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work"
    (tmp_path / "empty").mkdir()
    assert load_forecaster(plain.save(tmp_path / "empty")).levels == LEVELS


def test_saving_at_a_relative_path(plain, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    plain.save("model")
    assert load_forecaster("model").levels == LEVELS


def damage(path, change):
    content = json.loads((path / "forecaster.json").read_text(encoding="utf-8"))
    change(content)
    (path / "forecaster.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def saved(plain, tmp_path):
    return plain.save(tmp_path / "m")


@pytest.mark.parametrize("name", ["../../../evil.txt", "/etc/passwd", "a/b", "..", "", ".", "..\\evil"])
def test_file_names_that_lead_elsewhere_are_refused(saved, name):
    (saved.parent / "evil.txt").write_text("secret", encoding="utf-8")
    damage(saved, lambda c: c["members"][0]["files"].update({name: "0"}))
    with pytest.raises(StudyError, match="leads out of its directory"):
        load_forecaster(saved)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c.update(format=99), "written by a newer raysearch"),
        (lambda c: c["members"][0].update(model="os"), "holds a model 'os', which is not known here"),
        (lambda c: c.pop("levels"), "is damaged: forecaster.json lacks what belongs there"),
        (lambda c: c.pop("format"), "is damaged"),
        (lambda c: c.update(levels=3), "is damaged"),
        (lambda c: c.update(members=[{}]), "is damaged"),
        (lambda c: c.update(members={"a": 1}), "is damaged"),
        (lambda c: c["members"][0].update(files=["level_000.txt"]), "is damaged"),
        (lambda c: c["members"][1]["files"].update({"gone.ubj": "0"}), "is damaged: .*gone.ubj"),
        (lambda c: c.update(encoder=[]), "is damaged"),
        (lambda c: c.update(transform={}), "is damaged"),
    ],
)
def test_what_does_not_fit_is_told(saved, change, told):
    damage(saved, change)
    with pytest.raises(StudyError, match=told):
        load_forecaster(saved)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"3", b"null", b"\xff\xfe", b"[" * 100_000])
def test_damaged_json_is_told(saved, content):
    (saved / "forecaster.json").write_bytes(content)
    with pytest.raises(StudyError, match="is damaged"):
        load_forecaster(saved)


@pytest.mark.parametrize("file", ["000/level_001.txt", "001/model.ubj"])
def test_boosters_that_were_cut_off_are_told_before_a_library_reads_them(saved, file):
    path = saved / "members" / file
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(StudyError, match=r"is damaged: .* is not what was saved"):
        load_forecaster(saved)


def test_nothing_there_is_told(tmp_path, saved):
    for path in (tmp_path / "none", tmp_path, saved / "forecaster.json"):
        with pytest.raises(StudyError, match="no forecaster in"):
            load_forecaster(path)
    shutil.rmtree(saved / "members")
    with pytest.raises(StudyError, match="is damaged"):
        load_forecaster(saved)
