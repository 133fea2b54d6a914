"""The files of ``deploy``: whole, without secrets, and in step with the code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml
from fault_rig import free_port

from raysearch.errors import TrackingError
from raysearch.records import TrialResult
from raysearch.study.gauges import FIGURES, STATES, Gauges
from raysearch.tracking import production_server

DEPLOY = Path(__file__).parents[1] / "deploy"
SECRETS = ("MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY")
URI = "postgresql+psycopg://me:s3cret@127.0.0.1/mlflow"


def panels():
    """Return the expressions of the dashboard's panels, for all studies, by title."""
    board = json.loads((DEPLOY / "grafana-raysearch.json").read_text())
    return {
        panel["title"]: target["expr"].replace("$study", ".*")
        for panel in board["panels"]
        for target in panel["targets"]
    }


def test_the_dashboard_shows_every_series_and_no_other():
    board = json.loads((DEPLOY / "grafana-raysearch.json").read_text())
    asked = " ".join(panels().values())
    assert set(re.findall(r"ray_(raysearch_\w+)", asked)) == set(FIGURES)
    states = re.findall(r'state=~?"([^"]*)"', asked)
    assert {state for told in states for state in told.split("|")} <= set(STATES)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_prometheus_reads_the_file_that_ray_writes():
    from ray._private.ray_constants import PROMETHEUS_SERVICE_DISCOVERY_FILE

    plain = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    (job,) = plain["scrape_configs"]
    assert job["file_sd_configs"] == [{"files": [f"/tmp/ray/{PROMETHEUS_SERVICE_DISCOVERY_FILE}"]}]


def _installed(tool):
    if shutil.which(tool) is None:
        pytest.skip(f"no {tool}: apt-get install -y prometheus")
    return tool


def test_prometheus_takes_its_settings_and_the_panels_expressions(tmp_path):
    rules = [{"record": f"panel:{place}", "expr": expr} for place, expr in enumerate(panels().values())]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    for words in (["config", DEPLOY / "prometheus.yml"], ["rules", tmp_path / "panels.yml"]):
        done = subprocess.run(
            [_installed("promtool"), "check", *map(str, words)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_prometheus_has_data_for_every_panel(local_ray, tmp_path):
    Gauges("panels", 1).tell(
        [TrialResult(0, "k0", "lightgbm", {}, {}, "finished", 0.5, 10, {}, (), 0.0, 1.0)], 1
    )
    nodes = [f"127.0.0.1:{node['MetricsExportPort']}" for node in local_ray.nodes()]
    (tmp_path / "nodes.json").write_text(json.dumps([{"labels": {"job": "ray"}, "targets": nodes}]))
    settings = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    settings["global"]["scrape_interval"] = "1s"
    settings["scrape_configs"][0]["file_sd_configs"] = [{"files": [str(tmp_path / "nodes.json")]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings))
    address = f"127.0.0.1:{free_port()}"
    command = [_installed("prometheus"), f"--config.file={tmp_path}/prometheus.yml"]
    command += [f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address={address}"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while empty := [title for title, expr in panels().items() if not _asked(address, expr)]:
            assert server.poll() is None and time.monotonic() < until, empty
            time.sleep(0.5)
    finally:
        server.kill()
        server.wait()


def _asked(address, expression):
    """Return the series that Prometheus has for an expression."""
    words = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"http://{address}/api/v1/query?{words}", timeout=10) as answer:
            return json.load(answer)["data"]["result"]
    except OSError:  # it does not listen yet
        return []


def test_compose_holds_no_secret_and_listens_on_loopback():
    plain = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    server, database = plain["services"]["mlflow"], plain["services"]["postgres"]
    assert server["ports"] == ["${MLFLOW_BIND:-127.0.0.1}:5000:5000"]
    assert "ports" not in database
    for name in SECRETS:
        assert server["environment"][name] == f"${{{name}:?}}"  # compose refuses to start without
    assert "--app-name=basic-auth" in server["command"]
    assert any(word.startswith("--allowed-hosts=") for word in server["command"])


def test_kubernetes_has_a_token_and_the_version_of_the_constraints():
    claim, cluster = yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text())
    spec = cluster["spec"]
    pinned = re.search(
        r"^ray(?:\[.*\])?==(\S+)", (DEPLOY.parent / "constraints.txt").read_text(), re.MULTILINE
    )
    assert spec["rayVersion"] == pinned[1]
    assert spec["authOptions"] == {"mode": "token"}
    (volume,) = spec["headGroupSpec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def in_a_cloud():
    """Return cluster.yaml as its comments would have it there."""
    own, _, told = (DEPLOY.parent / "cluster.yaml").read_text().partition("# In a cloud instead")
    _, _, block = told.partition("\n#\n")
    lines = [line.removeprefix("#").removeprefix(" ") for line in block.splitlines()]
    return {**yaml.safe_load(own), **yaml.safe_load("\n".join(lines))}


def test_the_cluster_of_a_cloud_is_as_ray_wants_it_and_starts_from_none():
    from ray.autoscaler._private.util import prepare_config, validate_config

    plain = prepare_config(in_a_cloud())
    validate_config(plain)
    kinds = plain["available_node_types"]
    assert plain["provider"]["type"] == "aws" and "worker_ips" not in plain["provider"]
    assert kinds[plain["head_node_type"]]["resources"] == {"CPU": 0}
    assert (kinds["worker"]["min_workers"], kinds["worker"]["max_workers"]) == (0, 10)


def test_the_cluster_on_kubernetes_starts_from_none_by_what_ray_reads_of_it():
    from ray.autoscaler._private.kuberay import autoscaling_config

    _, cluster = yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text())
    cluster["metadata"]["namespace"] = "default"
    plain = autoscaling_config._derive_autoscaling_config_from_ray_cr(cluster)
    head, trials = plain["available_node_types"].values()
    assert cluster["spec"]["enableInTreeAutoscaling"] is True
    assert head["resources"]["CPU"] == 0
    assert trials["resources"] == {"CPU": 4, "memory": 8 * 2**30}
    assert (trials["min_workers"], trials["max_workers"]) == (0, 10)
    assert plain["idle_timeout_minutes"] == 5
    assert cluster["spec"]["autoscalerOptions"]["version"] == "v2"


def test_what_a_production_server_lacks_is_told_at_once(tmp_path, monkeypatch):
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TrackingError) as caught:
        production_server("sqlite:///mlflow.db", tmp_path / "f", ("127.0.0.1", 5000), 2, ())
    for told in (*SECRETS, "wants PostgreSQL", "pip install 'raysearch[server]'", "mlflow[auth]"):
        assert told in str(caught.value)
    assert not (tmp_path / "f").exists()


def test_a_production_server_s_secrets_stay_off_its_command_line(tmp_path, monkeypatch):
    for name in SECRETS:
        monkeypatch.setenv(name, "very-secret")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    command = production_server(URI, tmp_path / "keep", ("10.0.0.5", 5001), 3, ["mlflow.corp"])
    line = " ".join(command.words)
    assert "s3cret" not in line and "very-secret" not in line
    assert command.environment["MLFLOW_BACKEND_STORE_URI"] == URI
    assert "--host 10.0.0.5 --port 5001 --workers 3" in line
    assert "10.0.0.5,10.0.0.5:*,mlflow.corp,mlflow.corp:*" in line
    files = [path.read_text() for path in (tmp_path / "keep").rglob("*") if path.is_file()]
    assert files and not any("secret" in text for text in files)
