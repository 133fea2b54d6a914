"""The commands that search: tune, resume, check, and stop."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from raysearch.cli.common import (
    HOME,
    ConfigFile,
    Debug,
    Detach,
    Home,
    Json,
    Settings,
    ShowProfile,
    Submit,
    app,
)
from raysearch.cli.flags import with_flags
from raysearch.cli.guard import guarded
from raysearch.cli.options import RESUME_FLAGS, TUNE_FLAGS


@app.command()
@with_flags(TUNE_FLAGS)
@guarded
def tune(
    flags: dict[str, dict[str, Any]],
    config: ConfigFile = None,
    set_: Settings = None,
    submit: Submit = None,
    detach: Detach = False,
    json: Json = False,
    profile: ShowProfile = False,
    debug: Debug = False,
) -> None:
    """Find the best model for a table, keep it, and tell how good its intervals are.

    Without --data it runs the experiment nav_baseline: the net asset values of five funds, 21 days ahead.

    [bold]Examples[/bold]

        python -m raysearch tune --model lightgbm
        python -m raysearch tune --data sales.csv --target demand --group store --time date --trials 100
        python -m raysearch tune --data big.parquet --target y --model both --time-budget 30m --address auto
        python -m raysearch tune --data sales_june.csv --target demand --warm-start auto
        python -m raysearch tune --data sales.csv --target demand --submit http://10.0.0.11:8265
    """
    from raysearch.cli.run import run_study
    from raysearch.cli.submit import more_words, refuse_detached, tell_sent
    from raysearch.config import load_config
    from raysearch.flow import tune as run

    settings = load_config(config, settings=set_ or (), flags=flags)
    if submit is not None:
        from raysearch.flow.submit import submit as send

        sent = send(settings, submit, more_words(json=json, profile=profile))
        tell_sent(sent, detach=detach, json=json)
        return
    refuse_detached(detach)
    run_study(lambda display, spent_s: run(settings, None, display, spent_s), json=json, profile=profile)


@app.command()
@with_flags(RESUME_FLAGS)
@guarded
def resume(
    flags: dict[str, dict[str, Any]],
    name: Annotated[str, typer.Argument(help="Name of the study")],
    home: Home = HOME,
    submit: Submit = None,
    detach: Detach = False,
    json: Json = False,
    profile: ShowProfile = False,
    debug: Debug = False,
) -> None:
    """Go on with a study after Ctrl-C, a killed process, or for more trials: no finished trial runs again.

    [bold]Examples[/bold]

        python -m raysearch resume my-study
        python -m raysearch resume my-study --trials 200
    """
    from raysearch.cli.run import run_study
    from raysearch.cli.submit import more_words, refuse_detached, tell_sent, words_of
    from raysearch.flow import resume as run

    if submit is not None:
        from raysearch.flow.submit import submit_resume

        options, words = words_of(RESUME_FLAGS, flags)
        words += more_words(json=json, profile=profile)
        tell_sent(submit_resume(name, submit, home, options, words), detach=detach, json=json)
        return
    refuse_detached(detach)
    run_study(lambda display, spent_s: run(name, home, flags, display, spent_s), json=json, profile=profile)


@app.command()
@with_flags(TUNE_FLAGS)
@guarded
def check(
    flags: dict[str, dict[str, Any]],
    config: ConfigFile = None,
    set_: Settings = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Check settings, space, table and addresses, and tell what tune would run; compute nothing."""
    from raysearch.cli.words import plan_json, print_json, tell_plan
    from raysearch.config import load_config
    from raysearch.flow import check as run

    settings = load_config(config, settings=set_ or (), flags=flags)
    plan = run(settings)
    if json:
        print_json(plan_json(plan, settings))
    else:
        tell_plan(plan, settings)


@app.command()
@guarded
def stop(
    name: Annotated[str, typer.Argument(help="Name of the study")],
    submit: Annotated[
        str, typer.Option("--submit", help="The dashboard's address that it was sent to, http://HEAD:8265")
    ],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Stop a study that was sent to a cluster, as Ctrl-C does: its best model so far is kept.

    [bold]Example[/bold]

        python -m raysearch stop my-study --submit http://10.0.0.11:8265
    """
    from raysearch.cli.submit import resume_there
    from raysearch.cli.words import print_json, tell
    from raysearch.flow.submit import stop as run

    sent, state = run(name, submit)
    if json:
        print_json({"study": name, "job": state.word})
    else:
        tell(f"study {name} has stopped; `{resume_there(sent)}` goes on with it")
