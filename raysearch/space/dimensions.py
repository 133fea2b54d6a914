"""What is searched: dimensions that Optuna samples, and back into what a booster is given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from raysearch.models import TUNABLE

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Parameter:
    """One dimension of the search.

    Attributes:
        kind: "int", "float" or "choice".
        when: other parameters' values under which this one exists; empty: always.
    """

    name: str
    kind: str
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None
    choices: tuple[Any, ...] = ()
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def nearest_to(self, value: Any) -> Any:
        """Return the point of this dimension that is nearest to ``value`` (the first choice where none fits).

        ``value`` may be infinite, for a parameter without a limit.
        """
        if self.kind == "choice":
            return self._nearest_choice(value)
        clipped = min(max(value, self.low), self.high)
        if self.step:
            clipped = self.low + round((clipped - self.low) / self.step) * self.step
            clipped = clipped if clipped <= self.high + 1e-12 else clipped - self.step
        return round(clipped) if self.kind == "int" else float(clipped)

    def holds(self, value: Any) -> bool:
        """Tell whether ``value`` is a point of this dimension."""
        if self.kind == "choice":
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return math.isclose(self.nearest_to(value), value, rel_tol=1e-12)

    def _nearest_choice(self, value: Any) -> Any:
        if value in self.choices:
            return self.choices[self.choices.index(value)]
        numbers = [c for c in self.choices if isinstance(c, int | float) and not isinstance(c, bool)]
        if len(numbers) < len(self.choices) or isinstance(value, bool | str):
            return self.choices[0]
        return max(numbers) if value == math.inf else min(numbers, key=lambda c: abs(c - value))


@dataclass(frozen=True)
class Space:
    """The dimensions of one model, and what is fixed for all its trials.

    Attributes:
        content: the plain values that it was read from, for ``parse_space``.
        start: points to try before any is sampled; what one leaves out is sampled.
        shipped: it comes with raysearch as it is, and may be made to suit a table.
    """

    model: str
    parameters: tuple[Parameter, ...]
    fixed: Mapping[str, Any]
    content: Mapping[str, Any] = field(default_factory=dict, compare=False)
    start: tuple[Mapping[str, Any], ...] = ()
    shipped: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class DefaultPoint:
    """The library's own defaults as a trial.

    Attributes:
        params: the nearest point of the space, which the sampler sees.
        fit_params: what the library would do untuned, which is what runs.
    """

    params: Mapping[str, Any]
    model: str
    fit_params: Mapping[str, Any]


@dataclass(frozen=True)
class SearchSpace:
    """One model's space, or several joined by the parameter ``model``.

    Joined, a parameter is named after its model (``lightgbm.learning_rate``), for the same name can mean
    different things.
    """

    spaces: tuple[Space, ...]

    @property
    def joined(self) -> bool:
        return len(self.spaces) > 1

    @property
    def conditional(self) -> bool:
        """Tell whether some parameters exist only beside certain values of others."""
        return self.joined or any(parameter.when for space in self.spaces for parameter in space.parameters)

    @property
    def max_rounds(self) -> int:
        """The most boosting rounds that a trial of this space can ask for."""
        return max(max(_round_values(space)) for space in self.spaces)

    @property
    def size(self) -> float:
        """How many different points there are; infinite where a parameter is continuous."""
        return sum(math.prod(_count(p) for p in space.parameters) for space in self.spaces)

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return parameters as sampled; those whose condition does not hold are absent."""
        params: dict[str, Any] = {}
        space = self.spaces[0]
        if self.joined:
            params["model"] = trial.suggest_categorical("model", [space.model for space in self.spaces])
            space = self._space_of(params["model"])
        for parameter in space.parameters:
            if self._exists(space, parameter, params):
                name = self._name(space, parameter.name)
                params[name] = _suggest_one(trial, name, parameter)
        return params

    def to_fit(self, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the model and what its library is given for sampled ``params``."""
        model, own = self.own(params)
        return model, {**self._space_of(model).fixed, **own}

    def own(self, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the model of sampled ``params``, and these by the names of its own space."""
        space = self._space_of(params["model"]) if self.joined else self.spaces[0]
        prefix = f"{space.model}." if self.joined else ""
        own = {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}
        return space.model, own

    def point(self, model: str, own: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a point given by its model's own names as sampled parameters.

        None where it is no point of the space: a parameter that exists there is missing, one is there that
        does not exist, or a value is not what would be sampled.
        """
        space = next((space for space in self.spaces if space.model == model), None)
        if space is None:
            return None
        params: dict[str, Any] = {"model": model} if self.joined else {}
        found = 0
        for parameter in space.parameters:
            if not self._exists(space, parameter, params):
                continue
            value = own.get(parameter.name)
            if not parameter.holds(value) or (parameter.kind == "int" and not isinstance(value, int)):
                return None
            params[self._name(space, parameter.name)] = parameter.nearest_to(value)
            found += 1
        return params if found == len(own) else None

    @cached_property
    def by_name(self) -> Mapping[str, Parameter]:
        """The parameters as trials name them, without ``model``."""
        return {self._name(space, p.name): p for space in self.spaces for p in space.parameters}

    def default_points(self) -> list[DefaultPoint]:
        """Return the libraries' defaults, one point a model, to be tried before anything is sampled."""
        points = []
        for space in self.spaces:
            tunable = TUNABLE[space.model]
            params: dict[str, Any] = {"model": space.model} if self.joined else {}
            fit_params: dict[str, Any] = dict(space.fixed)
            for parameter in space.parameters:
                if self._exists(space, parameter, params):
                    default = tunable.defaults[parameter.name]
                    fit_params[parameter.name] = default
                    shown = math.inf if parameter.name in tunable.unlimited and default <= 0 else default
                    params[self._name(space, parameter.name)] = parameter.nearest_to(shown)
            points.append(DefaultPoint(params, space.model, fit_params))
        return points

    def start_points(self) -> list[dict[str, Any]]:
        """Return the spaces' own points to be tried before anything is sampled, as sampled parameters."""
        return [
            ({"model": space.model} if self.joined else {})
            | {self._name(space, name): value for name, value in point.items()}
            for space in self.spaces
            for point in space.start
        ]

    def _exists(self, space: Space, parameter: Parameter, params: Mapping[str, Any]) -> bool:
        met = (params.get(self._name(space, other)) in allowed for other, allowed in parameter.when.items())
        return all(met)

    def _space_of(self, model: str) -> Space:
        return next(space for space in self.spaces if space.model == model)

    def _name(self, space: Space, name: str) -> str:
        return f"{space.model}.{name}" if self.joined else name


def _round_values(space: Space) -> list[int]:
    name = TUNABLE[space.model].rounds
    for parameter in space.parameters:
        if parameter.name == name:
            default = [TUNABLE[space.model].defaults[name]] if parameter.when else []
            return default + ([int(v) for v in parameter.choices] or [int(parameter.high)])
    return [int(space.fixed.get(name, TUNABLE[space.model].defaults[name]))]


def _count(parameter: Parameter) -> float:
    if parameter.kind == "choice":
        return len(parameter.choices)
    if parameter.kind == "float" and not parameter.step:
        return math.inf
    return int((parameter.high - parameter.low) / (parameter.step or 1) + 1e-9) + 1


def _suggest_one(trial: optuna.Trial, name: str, parameter: Parameter) -> Any:
    if parameter.kind == "choice":
        return trial.suggest_categorical(name, parameter.choices)
    if parameter.kind == "int":
        step = int(parameter.step or 1)
        return trial.suggest_int(name, int(parameter.low), int(parameter.high), step=step, log=parameter.log)
    return trial.suggest_float(name, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
