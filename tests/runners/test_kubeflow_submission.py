"""Submission to a Kubeflow Pipelines host: what a run is given, and what is refused."""

import _thread
import shutil

import pytest

import pipeline
from fondant_spec.errors import HostError
from fondant_spec.pipeline import Pipeline
from fondant_spec.runners.kubeflow import KubeflowRunner
from fondant_spec.runners.kubeflow.host import Host, Submission, inline
from fondant_spec.runners.kubeflow.package import documents
from tests.runners.kfp_server import KfpServer, RefusalError, serving
from tests.runners.kubeflow_runs import BASE, cluster, interrupts_arrive, pair, submit
from tests.small import COMPONENTS

EMPTY = "pipelineInfo: {name: p}"


def test_what_a_run_is_given():
    """A run has all its values, says what it does, and names a version of its pipeline."""
    with serving(KfpServer()) as server:
        said = submit(server)
        [run] = server.runs.values()
        [version] = server.versions
        assert said[0] == f"run 'small_one run-1': {server.url}/#/runs/details/{run['run_id']}"
        assert run["display_name"] == "small_one run-1"
        assert run["experiment_id"] == server.experiments[0]["experiment_id"]
        assert server.experiments[0]["display_name"] == "small_one"
        assert [one["display_name"] for one in server.pipelines] == ["small_one"]
        assert version["display_name"].startswith("small-one ")
        assert "pipeline_spec" not in run
        form = run["spec"]["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
        values = run["runtime_config"]["parameters"]
        assert values.keys() == form.keys()
        rows = next(value for name, value in values.items() if name.endswith("numbers__rows"))
        assert (values["base_path"], rows) == (BASE, 20)
        assert run["description"] == (
            "numbers > double. The data is at memory://base; to look at it: fondant-spec show "
            "small_one/double --base-path memory://base"
        )


def test_equal_packages_are_uploaded_once():
    """Two runs of one package share a version, and nothing else; another package is another one."""
    with serving(KfpServer()) as server:
        submit(server)
        submit(server)
        submit(server, pair(fan_out=2).plan("run-2"))
        ids = [run["pipeline_version_reference"] for run in server.runs.values()]
        assert len(server.pipelines) == 1
        assert len(server.versions) == 2
        assert ids[0] == ids[1] != ids[2]
        assert len(server.runs) == 3


def test_two_submissions_at_once():
    """What somebody else makes at the same moment is taken."""
    with serving(KfpServer()) as server:
        host = Host(server.url)
        first = (host.experiment("e"), host.upload(EMPTY, "p", "v"))
        server.unseen = {"experiments", "pipelines", "pipeline_versions"}
        assert (host.experiment("e"), host.upload(EMPTY, "p", "v")) == first
        assert not server.unseen


def test_experiment_and_account():
    """A run is in the experiment that is named, and runs as the account that is."""
    with serving(KfpServer()) as server:
        submit(server, experiment="mine", service_account="editor")
        submit(server)
        assert [e["display_name"] for e in server.experiments] == ["mine", "small_one"]
        assert [r.get("service_account") for r in server.runs.values()] == ["editor", None]


def test_an_archived_experiment(launch):
    """No run is put where no list would show it."""
    with serving(KfpServer()) as server:
        experiment = {"display_name": "old", "experiment_id": "1", "storage_state": "ARCHIVED"}
        server.experiments.append(experiment)
        code, _, err = launch(server, "--experiment", "old")
        assert (code, server.runs) == (1, {})
        assert "\n".join(err) == (
            "error: the experiment 'old' is archived, so no list would show the run; restore it "
            f"({server.url}/#/archive/experiments), or name another one with --experiment."
        )


def test_a_host_that_keeps_no_pipelines():
    """Who may run pipelines, but not upload them, still runs them."""
    with serving(KfpServer()) as server:
        server.keeps = False
        said = submit(server)
        assert said[0].startswith(
            "the host does not keep the pipeline, so the run carries it itself: "
        )
        [run] = server.runs.values()
        assert run["pipeline_spec"].keys() == {"pipeline_spec", "platform_spec"}


def test_images_that_were_not_pushed(tmp_path):
    """An image that only this machine has is told of before it cannot be pulled."""
    folder = tmp_path / "components" / "numbers"
    shutil.copytree(COMPONENTS / "numbers", folder)
    small = Pipeline("p", BASE)
    small.add(folder)
    code = small.plan().steps[0].key_parts["code"]
    (tmp_path / "images.lock").write_text(f"numbers me/numbers:v1 sha256:{'a' * 64} - {code}\n")
    said: list[str] = []
    with serving(KfpServer()) as server:
        KubeflowRunner(cluster(server)).run(small.plan(), said.append)
    assert said[0] == "not pushed, so the cluster's nodes must have them: me/numbers:v1"


def test_several_users():
    """With several users a namespace is needed, and with one it is not sent."""
    with serving(KfpServer(several_users=True)) as server:
        with pytest.raises(HostError, match=r"name your namespace .* in KUBEFLOW_NAMESPACE"):
            submit(server)
        submit(server, namespace="team")
        assert server.experiments[0]["namespace"] == server.pipelines[0]["namespace"] == "team"
        with pytest.raises(HostError, match=r"\(403\): User tester is not authorized"):
            submit(server, namespace="forbidden")
    with serving(KfpServer()) as server:
        submit(server, namespace="team")
        assert "namespace" not in server.experiments[0]


def test_a_run_that_is_refused():
    """What the host says of a bad run is passed on in one line."""
    with serving(KfpServer()) as server:
        host = Host(server.url)
        run = Submission("refuse me", host.experiment("e"), inline(EMPTY))
        with pytest.raises(HostError) as caught:
            host.submit(run)
        assert str(caught.value) == (
            f"{server.url} refuses the request (400): Invalid input error: the name is taken"
        )
        with pytest.raises(HostError, match="no field named"):
            host.upload(f"{EMPTY}\nrooot: {{}}", "p", "v1")


def test_an_answer_that_does_not_come(launch):
    """A run that the host may have taken is not submitted again without a look."""

    def no_answer(_: str) -> None:
        raise ConnectionAbortedError

    with serving(KfpServer()) as server:
        server.starts = no_answer
        code, _, err = launch(server, "--run-name", "first")
        assert (code, len(server.runs)) == (1, 1)
        assert err[0].startswith("error: the connection to URL broke off (")
        assert err[0].endswith(
            "All the same, the host may have taken the run 'first': look at URL/#/runs before you "
            "submit it again."
        )


@pytest.mark.parametrize(("answer", "code", "is_unsure"), [(429, 75, False), (503, 1, True)])
def test_a_host_in_trouble(launch, answer, code, is_unsure):
    """One that asks for patience has not taken the run; one that failed may have."""

    def refuse(_: str) -> None:
        raise RefusalError(answer, "later")

    with serving(KfpServer()) as server:
        server.starts = refuse
        ended, _, err = launch(server, "--run-name", "first")
    assert (ended, "may have taken" in err[0]) == (code, is_unsure)


def test_ctrl_c_while_the_host_takes_a_run(launch):
    """The same is said to who does not wait for the answer."""
    with serving(KfpServer()) as server, interrupts_arrive():
        server.starts = lambda _: _thread.interrupt_main()
        code, _, err = launch(server, "--run-name", "first")
        assert (code, len(server.runs)) == (130, 1)
        assert err[0].startswith("error: interrupted; the host may have taken the run 'first': ")


def test_command_line(launch, tmp_path):
    """`HOST=... python pipeline.py` submits what its options say."""
    with serving(KfpServer()) as server:
        words = ["--run-name", "first", "--experiment", "seeds", "--fan-out", "caption_images=4"]
        code, out, _ = launch(server, *words)
        assert code == 0
        assert out[1] == "run 'first': URL/#/runs/details/RUN"
        assert server.experiments[0]["display_name"] == "seeds"
        [run] = server.runs.values()
        assert '"3/4"]' in str(run["spec"]["pipeline_spec"]["components"])
        file = tmp_path / "package.yaml"
        assert launch(server, "--compile-only", str(file))[0] == 0
        assert documents(file.read_text())[0]["pipelineInfo"]["name"] == "stable-diffusion"
        code, out, _ = launch(server, "--no-follow")
        assert (code, len(out), len(server.runs)) == (0, 2, 2)


def test_command_line_without_success(monkeypatch, capsys):
    """A host that cannot be used ends with 1 and one line, and a wrong option with 2."""
    monkeypatch.setenv("DATASET_NAME", "user/seeds")
    monkeypatch.setenv("INDEX_URL", "http://knn.example.com")
    monkeypatch.setenv("HOST", "x86_64-conda-linux-gnu")
    assert pipeline.main([]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: HOST is 'x86_64-conda-linux-gnu', which is no URL.")
    assert error.count("\n") == 1
    assert pipeline.main(["--fan-out", "caption_images=none", "--dry-run"]) == 2
    assert capsys.readouterr().err == (
        "error: --fan-out caption_images=none: expected STEP=N, such as caption_images=4.\n"
    )
