"""What every adapter of ``QuantileModel`` must do: a suite subclasses ``ModelContract`` for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from raysearch.models import (
    TUNABLE,
    FitInTurns,
    FitSettings,
    Frame,
    LocatedFit,
    get_model,
    load_located,
    load_location,
    locate,
    located_importance,
    save_location,
    with_location,
)
from raysearch.models.location import most_categories
from raysearch.space import load_space

LEVELS = (0.1, 0.5, 0.9)
SETTINGS = FitSettings(LEVELS)


def make_frame(rows=300, seed=0, categories=True):
    """Return a frame of floats with gaps, one of them codes of categories, and a target that follows them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3)).astype(np.float32)
    codes = rng.integers(0, 6, size=rows).astype(np.float64)
    y = x[:, 0] * 2 + np.sin(3 * x[:, 1]) + (codes == 2) * 3 + rng.normal(size=rows) * (0.5 + np.abs(x[:, 2]))
    x[rng.random(rows) < 0.2, 0] = np.nan
    columns = {f"f{i}": x[:, i] for i in range(3)}
    if categories:
        columns["f3"] = codes
    return Frame(pa.table(columns), tuple(name == "f3" for name in columns)), y.astype(np.float64)


class ModelContract:
    """Subclass with ``name`` and the parameters that mean the same in each library."""

    name: ClassVar[str]
    small: ClassVar[Mapping[str, Any]]  # a quick, shallow model
    sampled: ClassVar[Mapping[str, Any]]  # with rows and columns drawn at random
    variants: ClassVar[Mapping[str, Mapping[str, Any]]]  # settings that train in another way
    sparse: ClassVar[Mapping[str, Any]]  # draws so few columns that some rounds find no split
    binned: ClassVar[Mapping[str, Any]]  # settings that need bins of their own

    @property
    def model(self):
        return get_model(self.name)

    def fit(self, rounds=12, params=None, settings=SETTINGS, data=None, watched=None, binned=None):
        """Train through the given rungs (or one number of rounds) and return the fit."""
        frame, y = data or make_frame()
        params = self.small if params is None else params
        binned = self.model.bin(frame, y, params, settings) if binned is None else binned
        fit = self.model.start(binned, params, settings, frame.slice(0, 80) if watched is None else watched)
        for step in rounds if isinstance(rounds, tuple) else (rounds,):
            fit.advance(step)
        return fit

    def test_it_is_found_by_name(self):
        assert self.model.name == self.name
        assert self.model is get_model(self.name)

    def test_quantiles_of_all_levels_rise_with_the_level(self):
        frame, y = make_frame(1000)
        q = self.fit(30, data=(frame, y), watched=frame).predict_watched()
        assert q.shape == (1000, 3)
        assert q.dtype == np.float64
        for i, level in enumerate(LEVELS):
            assert abs((y <= q[:, i]).mean() - level) < 0.08

    @pytest.mark.parametrize("rungs", [(4, 12), (1, 2, 3, 12), (11, 12), (12, 12), (0, 12)])
    def test_rungs_change_nothing(self, rungs):
        for params in (self.small, self.sampled):
            straight = self.fit(12, params)
            parted = self.fit(rungs, params)
            assert parted.rounds == straight.rounds == 12
            np.testing.assert_allclose(
                parted.predict_watched(), straight.predict_watched(), rtol=0, atol=1e-9
            )

    def test_asking_at_rungs_changes_nothing(self):
        fit = self.fit(0, self.sampled)
        for step in (1, 5, 5, 12):
            fit.advance(step)
            fit.predict_watched()[:] = 0  # what is handed out is the caller's
        straight = self.fit(12, self.sampled).predict_watched()
        np.testing.assert_allclose(fit.predict_watched(), straight, rtol=0, atol=1e-6)

    def test_rungs_change_nothing_where_rounds_find_no_split(self):
        """A column drawn at random can leave a round without a split, while the next one finds some."""
        frame, y = make_frame(60)
        y = np.where(np.nan_to_num(np.asarray(frame.features["f1"])) > 0, 1.0, 0.0)
        params = {**self.small, **self.sparse}
        straight = self.fit(20, params, data=(frame, y), watched=frame).predict_watched()
        parted = self.fit(tuple(range(1, 21)), params, data=(frame, y), watched=frame).predict_watched()
        np.testing.assert_allclose(parted, straight, rtol=0, atol=1e-9)

    def test_binned_data_is_used_again_without_a_trace(self):
        frame, y = make_frame()
        shared = self.model.bin(frame, y, {}, SETTINGS)
        for params in (self.small, self.sampled, *self.variants.values()):
            assert self.model.bin_key(params) == self.model.bin_key({})
            again = self.fit(8, params, binned=shared).predict_watched()
            np.testing.assert_array_equal(again, self.fit(8, params).predict_watched())

    def test_binned_data_from_a_file_trains_the_same(self, tmp_path):
        frame, y = make_frame()
        weights = np.linspace(0.5, 1.5, frame.rows)
        shared, file = self.model.bin(frame, y, self.binned, SETTINGS, weights), tmp_path / "binned"
        try:
            self.model.save_binned(shared, file)
        except NotImplementedError:
            pytest.skip("the library keeps no binned data in files")
        params = {**self.sampled, **self.binned}
        loaded = self.model.load_binned(file, frame, self.binned, SETTINGS)
        again, straight = self.fit(8, params, binned=loaded), self.fit(8, params, binned=shared)
        assert again.dump() == straight.dump()
        with pytest.raises(ValueError, match="other rows"):
            self.model.load_binned(file, frame.slice(0, 100), self.binned, SETTINGS)

    def test_boosters_in_turns_are_the_same(self):
        frame, y = make_frame()
        for params in (self.small, self.sampled, *self.variants.values()):
            binned, watched = self.model.bin(frame, y, params, SETTINGS), frame.slice(0, 80)
            parts = [(q,) for q in LEVELS] if TUNABLE[self.name].levels_apart else [LEVELS]
            begin = [
                partial(self.model.start, binned, params, replace(SETTINGS, levels=part), watched)
                for part in parts
            ]
            fit = FitInTurns(self.model, begin)
            for rung in (4, 4, 12):
                fit.advance(rung)
                straight = self.fit(rung, params)
                assert fit.rounds == rung
                assert not fit.additive
                np.testing.assert_array_equal(fit.predict_watched(), straight.predict_watched())
                fit.predict_watched()[:] = 0  # what is handed out is the caller's
            assert fit.dump() == fit.dump(12) == straight.dump()
            with pytest.raises(ValueError, match="of 12 rounds are kept, not of 4"):
                fit.dump(4)

    def test_other_bins_have_another_key(self):
        assert self.model.bin_key({**self.small, **self.binned}) != self.model.bin_key(self.small)
        fine = self.fit(8, self.small).predict_watched()
        coarse = self.fit(8, {**self.small, **self.binned}).predict_watched()
        assert np.abs(fine - coarse).max() > 1e-6

    @pytest.mark.parametrize("kind", ["small", "sampled", "variants", "binned"])
    def test_what_is_dumped_predicts_the_same(self, kind):
        frame, _ = make_frame()
        chosen = getattr(self, kind)
        for params in chosen.values() if kind == "variants" else ({**self.small, **chosen},):
            fit = self.fit((3, 9), params)
            files = fit.dump()
            assert all(isinstance(content, bytes) and "/" not in name for name, content in files.items())
            loaded = self.model.load(files, LEVELS)(frame.slice(0, 80))
            assert loaded.shape == (80, 3)
            np.testing.assert_allclose(loaded, fit.predict_watched(), rtol=0, atol=1e-9)

    def test_dumping_leaves_the_fit_as_it_was(self):
        fit = self.fit(5)
        fit.dump()
        fit.advance(12)
        np.testing.assert_allclose(fit.predict_watched(), self.fit(12).predict_watched(), rtol=0, atol=1e-9)

    def test_it_goes_on_elsewhere_from_where_it_was_saved(self):
        frame, y = make_frame()
        watched, fit = frame.slice(0, 80), self.fit(5)
        binned = self.model.bin(frame, y, self.small, SETTINGS)
        other = self.model.restore(fit.save(), (binned, frame), self.small, SETTINGS, watched)
        assert other.rounds == 5
        straight = self.fit(12)
        for one in (other, straight):
            one.advance(12)
        np.testing.assert_allclose(other.predict_watched(), straight.predict_watched(), rtol=1e-6, atol=1e-9)
        loaded = self.model.load(other.dump(), LEVELS)(watched)
        np.testing.assert_allclose(loaded, straight.predict_watched(), rtol=1e-6, atol=1e-6)

    def test_what_earlier_rounds_said_can_be_asked_later(self):
        fit = self.fit(9)
        for rounds in (1, 4):
            said = self.fit(rounds).predict_watched()
            np.testing.assert_allclose(fit.predict_watched(rounds), said, rtol=1e-6, atol=1e-6)
        fit.advance(12)
        np.testing.assert_allclose(
            fit.predict_watched(), self.fit(12).predict_watched(), rtol=1e-6, atol=1e-6
        )

    def test_threads_change_nothing(self):
        two = self.fit((4, 12), self.sampled, replace(SETTINGS, threads=2))
        one = self.fit((4, 12), self.sampled)
        np.testing.assert_allclose(two.predict_watched(), one.predict_watched(), rtol=0, atol=1e-9)

    def test_the_seed_decides(self):
        first, again = self.fit(12, self.sampled), self.fit(12, self.sampled)
        other = self.fit(12, self.sampled, replace(SETTINGS, seed=7))
        np.testing.assert_array_equal(first.predict_watched(), again.predict_watched())
        assert first.dump() == again.dump()
        assert np.abs(first.predict_watched() - other.predict_watched()).max() > 0

    @pytest.mark.parametrize("levels", [(0.5,), (0.3,), tuple(k / 10 for k in range(1, 10)), (0.001, 0.999)])
    @pytest.mark.parametrize("threads", [1, 2])
    def test_any_number_of_levels(self, levels, threads):
        settings = FitSettings(levels, threads=threads)
        fit = self.fit((2, 5), settings=settings)
        assert fit.predict_watched().shape == (80, len(levels))
        frame, _ = make_frame()
        loaded = self.model.load(fit.dump(), levels)(frame.slice(0, 80))
        np.testing.assert_allclose(loaded, fit.predict_watched(), rtol=0, atol=1e-9)

    def test_another_number_of_levels_is_refused(self):
        with pytest.raises(ValueError, match=r"3 .*for 2 levels"):
            self.model.load(self.fit(2).dump(), (0.1, 0.9))

    @pytest.mark.parametrize(("rows", "columns"), [(30, 4), (300, 1), (30, 1)])
    def test_small_tables(self, rows, columns):
        frame, y = make_frame(rows)
        frame = Frame(frame.features.select(range(columns)), frame.categorical[:columns])
        fit = self.fit((2, 6), {}, data=(frame, y), watched=frame)
        assert np.isfinite(fit.predict_watched()).all()

    def test_a_constant_target_is_forecast(self):
        frame, _ = make_frame()
        fit = self.fit((1, 3, 9), data=(frame, np.full(frame.rows, 7.25)))
        np.testing.assert_allclose(fit.predict_watched(), 7.25, atol=1e-6)
        loaded = self.model.load(fit.dump(), LEVELS)(frame.slice(0, 80))
        np.testing.assert_allclose(loaded, fit.predict_watched(), rtol=0, atol=1e-9)

    def test_gaps_and_unseen_codes_have_a_forecast(self):
        files = self.fit(12).dump()
        odd = {
            "f0": [np.nan, 1e30, -1e30, 0],
            "f1": [np.nan] * 4,
            "f2": [0.0] * 4,
            "f3": [np.nan, 99, 6, 999],
        }
        frame = Frame(
            pa.table({k: np.asarray(v, dtype=np.float64) for k, v in odd.items()}), (False,) * 3 + (True,)
        )
        assert np.isfinite(self.model.load(files, LEVELS)(frame)).all()

    def test_single_rows_get_the_forecast_they_get_among_others(self):
        frame, _ = make_frame()
        predict = self.model.load(self.fit(12).dump(), LEVELS)
        among = predict(frame.slice(0, 40))
        alone = np.vstack([predict(frame.slice(i, i + 1)) for i in range(40)])
        np.testing.assert_allclose(alone, among, rtol=0, atol=1e-9)

    def test_no_rows_get_no_forecast(self):
        frame, _ = make_frame()
        nothing = frame.slice(10, 10)
        fit = self.fit(3, watched=nothing)
        assert fit.predict_watched().shape == (0, 3)
        assert self.model.load(fit.dump(), LEVELS)(nothing).shape == (0, 3)

    def test_rows_in_pieces_are_the_same_rows(self):
        frame, y = make_frame()
        pieces = Frame(
            pa.concat_tables([frame.features.slice(0, 7), frame.features.slice(7)]), frame.categorical
        )
        parted = self.fit(6, data=(pieces, y), watched=pieces)
        whole = self.fit(6, data=(frame, y), watched=frame)
        np.testing.assert_array_equal(parted.predict_watched(), whole.predict_watched())

    def test_importance_tells_what_matters(self):
        frame, _ = make_frame(600)
        y = np.asarray(frame.features["f1"], dtype=np.float64) * 5
        gain = self.model.importance(self.fit(12, data=(frame, y)).dump(), 4)
        assert gain.shape == (4,)
        assert (gain >= 0).all()
        assert gain[1] > 0.9 * gain.sum() > 0

    def test_importance_of_every_variant(self):
        for params in (self.small, *self.variants.values()):
            gain = self.model.importance(self.fit(6, params).dump(), 4)
            assert np.isfinite(gain).all() and gain.sum() > 0

    @pytest.mark.parametrize("end", ["low", "high"])
    def test_the_ends_of_the_wide_space_train(self, end):
        (space,) = load_space(self.name, "wide").spaces
        for last in (0, -1):
            params = dict(space.fixed)
            for parameter in space.parameters:
                if all(params.get(other) in allowed for other, allowed in parameter.when.items()):
                    choice = (
                        parameter.choices[last] if parameter.kind == "choice" else getattr(parameter, end)
                    )
                    params[parameter.name] = choice
            params.pop(TUNABLE[self.name].rounds)
            assert np.isfinite(self.fit((1, 3), params).predict_watched()).all()

    @pytest.mark.parametrize("threads", [1, 2])
    def test_it_says_nothing(self, capfd, threads):
        settings = FitSettings(LEVELS, threads=threads)
        frame, y = make_frame(40)
        for params in (self.small, self.sampled, *self.variants.values()):
            fit = self.fit((2, 5), params, settings, data=(frame, y), watched=frame)
            fit.predict_watched()
            self.model.load(fit.dump(), LEVELS)(frame)
            self.model.importance(fit.dump(), 4)
        self.fit(3, settings=settings, data=(frame, np.full(40, 2.0)), watched=frame)
        assert capfd.readouterr() == ("", "")

    def mean_of(self, small, weights=None):
        frame, y = make_frame(600)
        rows, ahead = frame.slice(0, 400), frame.slice(400, 600)
        files, loss = self.model.fit_mean((rows, y[:400], weights), (ahead, y[400:]), SETTINGS, small=small)
        return self.model.load_mean(files), loss, ahead, y[400:]

    @pytest.mark.parametrize("small", [False, True])
    def test_the_mean_is_learnt_as_long_as_it_helps_rows_ahead(self, small):
        for weights in (None, np.ones(400)):
            mean, loss, ahead, y = self.mean_of(small, weights)
            assert mean(ahead).shape == (200,)
            assert mean(ahead.slice(0, 0)).shape == (0,)
            assert 1 - np.mean((y - mean(ahead)) ** 2) / np.var(y) > 0.3
            assert loss == pytest.approx(np.sqrt(np.mean((y - mean(ahead)) ** 2)), rel=1e-4)
        np.testing.assert_array_equal(mean(ahead), self.mean_of(small)[0](ahead))

    def test_the_first_stretch_tells_whether_small_trees_serve(self, monkeypatch):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(4, 3000)).astype(np.float32)
        frame = Frame(pa.table({f"f{i}": column for i, column in enumerate(x)}), (False,) * 4)
        ways = []

        class Watched(type(self.model)):
            def fit_mean(self, rows, ahead, settings, **how):
                files, loss = super().fit_mean(rows, ahead, settings, **how)
                ways.append((how["small"], loss))
                return files, loss

        locate(Watched(), frame, x.sum(axis=0) + rng.normal(size=3000), frame.slice(0, 1), SETTINGS)
        assert ways[0][1] > ways[1][1], "what adds up is learnt best by small trees"
        assert [small for small, _ in ways] == [False, True, True, True, True]
        monkeypatch.setattr("raysearch.models.location._MANY_ROWS", 2999)
        ways.clear()
        locate(Watched(), frame, x.sum(axis=0), frame.slice(0, 1), SETTINGS)
        assert [small for small, _ in ways] == [False, False]

    @pytest.mark.parametrize(("categories", "tried"), [(30, 2), (100, 3)])
    def test_the_first_stretch_tells_whether_many_categories_are_told_apart(self, categories, tried):
        rng = np.random.default_rng(0)
        x, codes = rng.normal(size=4000).astype(np.float32), np.arange(4000) % categories
        frame = Frame(pa.table({"f0": x, "f1": rng.permutation(codes).astype(np.float32)}), (False, True))
        ways = []

        class Watched(type(self.model)):
            def fit_mean(self, rows, ahead, settings, **how):
                files, loss = super().fit_mean(rows, ahead, settings, **how)
                ways.append((how["careful"], loss))
                return files, loss

        gaps = np.where(np.arange(4000) % 50 == 7, np.nan, frame.features["f1"].to_numpy())
        frame = Frame(frame.features.set_column(1, "f1", pa.array(gaps, pa.float32())), (False, True))
        locate(Watched(), frame, x + rng.normal(size=4000), frame.slice(0, 1), SETTINGS)
        assert most_categories(frame) == categories, "missing is no category"
        assert [careful for careful, _ in ways[:tried]] == [False, False, True][:tried]
        assert len(ways) == tried + 3
        if tried == 3:
            assert ways[2][1] < ways[0][1], "categories that tell nothing are not learnt by heart"

    def test_watched_rows_are_predicted_alike_however_many_there_are(self, monkeypatch):
        frame, y = make_frame(400)
        blank = frame.without([1])
        found = []
        for most in (10**9, 0):
            monkeypatch.setattr("raysearch.models.lightgbm_fit._MOST_CELLS", most)
            binned = self.model.bin(frame.slice(0, 300), y[:300], self.small, SETTINGS)
            fits = [
                self.model.start(binned, self.small, SETTINGS, rows.slice(300, 400))
                for rows in (frame, blank)
            ]
            for fit in fits:
                fit.advance(6)
            found.append(np.concatenate([fit.predict_watched() for fit in fits]))
        np.testing.assert_array_equal(*found)

    def test_a_fold_of_about_as_many_rows_takes_what_served_the_first(self, tmp_path):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(4, 3000)).astype(np.float32)
        frame = Frame(pa.table({f"f{i}": column for i, column in enumerate(x)}), (False,) * 4)
        z = x.sum(axis=0) + rng.normal(size=3000)
        ways = []

        class Watched(type(self.model)):
            def fit_mean(self, rows, ahead, settings, **how):
                ways.append(how["small"])
                return super().fit_mean(rows, ahead, settings, **how)

        def located(rows, like=None):
            ways.clear()
            return locate(Watched(), frame.slice(0, rows), z[:rows], frame.slice(0, 1), SETTINGS, None, like)

        first = located(2000)
        assert first.kind.small
        save_location(first, tmp_path / "location")
        first = load_location(tmp_path / "location")
        assert located(2100, first).kind == first.kind
        assert ways == [True] * 4
        located(3000, first)
        assert ways == [False, True, True, True, True], "of other numbers of rows others may serve"

    def test_a_location_is_learnt_by_models_that_have_not_seen_the_row(self):
        frame, y = make_frame(400)
        found = locate(self.model, frame.slice(0, 320), y[:320], frame.slice(320, 400), SETTINGS)
        assert (found.learnt.shape, found.watched.shape) == ((320,), (80,))
        changed = y.copy()
        changed[0] += 1000.0  # a row's own truth moves what is said of others, not what is said of itself
        again = locate(self.model, frame.slice(0, 320), changed[:320], frame.slice(320, 400), SETTINGS)
        assert abs(again.learnt[0] - found.learnt[0]) < 5.0
        assert locate(self.model, frame.slice(0, 50), y[:50], frame.slice(50, 60), SETTINGS) is None

    def test_a_located_fit_predicts_the_same_when_it_is_loaded(self):
        frame, y = make_frame(400)
        rows, watched = frame.slice(0, 320), frame.slice(320, 400)
        location = locate(self.model, rows, y[:320], watched, SETTINGS)
        around = with_location(rows, location.learnt)
        binned = self.model.bin(around, y[:320] - location.learnt, self.small, SETTINGS)
        fit = LocatedFit(
            self.model.start(binned, self.small, SETTINGS, with_location(watched, location.watched)), location
        )
        fit.advance(6)
        early = fit.predict_watched()
        fit.advance(12)
        for rounds, told in ((6, early), (None, fit.predict_watched())):
            loaded = load_located(self.model, fit.dump(rounds), LEVELS)(watched)
            np.testing.assert_allclose(loaded, told, rtol=0, atol=1e-6)
        shares = located_importance(self.model, fit.dump(), 4)
        assert shares.shape == (4,)
        assert shares.sum() == pytest.approx(1.0)
        assert shares[0] > 0.2, "the first feature moves the target most"

    @pytest.mark.parametrize("kind", ["small", "sampled"])
    def test_the_first_rounds_alone_are_a_model(self, kind):
        frame, _ = make_frame()
        fit = self.fit(12, getattr(self, kind))
        assert fit.additive
        early = self.fit(5, getattr(self, kind)).predict_watched()
        loaded = self.model.load(fit.dump(5), LEVELS)(frame.slice(0, 80))
        np.testing.assert_allclose(loaded, early, rtol=0, atol=1e-6)

    def test_rows_count_by_their_weight(self):
        """Two kinds of rows that no feature tells apart: the levels follow those that weigh more."""
        frame, _ = make_frame(400)
        y = np.where(np.arange(400) % 2 == 0, 0.0, 10.0)
        for heavy, middle in ((0, 0.0), (1, 10.0)):
            weights = np.where(np.arange(400) % 2 == heavy, 1.9, 0.1)
            binned = self.model.bin(frame, y, self.small, SETTINGS, weights)
            fit = self.fit(60, self.small, binned=binned)
            assert np.median(np.abs(fit.predict_watched()[:, 1] - middle)) < 1.0
