"""Following a run on a Kubeflow Pipelines host: what a real one answers, told as it is."""

import _thread
from collections.abc import Sequence

import pytest

from fondant_spec.errors import HostError, RunCancelledError, StepFailedError
from fondant_spec.pipeline.plan import Plan
from fondant_spec.runners.kubeflow import Cluster
from fondant_spec.runners.kubeflow.following.follow import follow
from fondant_spec.runners.kubeflow.following.results_seen import ResultsSeen
from fondant_spec.runners.kubeflow.following.run_state import RunState
from fondant_spec.runners.kubeflow.following.submitted_run import SubmittedRun
from fondant_spec.runners.kubeflow.host import Host, Submission, inline
from tests.runners.kfp_answers import (
    WORKFLOW,
    Answer,
    Look,
    cancelling,
    compressed,
    names,
    node_id,
    recorded,
    recorded_log,
    slice_id,
)
from tests.runners.kfp_server import KfpServer, serving
from tests.runners.kubeflow_runs import Launch, interrupts_arrive, pair, submit

SUCCEEDED = ["load_from_hub", "image_embedding", "laion_retrieval", "download_images"]
UNTIL_CAPTIONS = [f"[{step}] succeeded" for step in SUCCEEDED]
END = (
    "the result of export_dataset is below memory://base/stable-diffusion/export_dataset. Look at "
    "it: fondant-spec show stable-diffusion/export_dataset --base-path memory://base"
)
CANCELLED = (
    "the run was cancelled; what is finished is kept, run again to go on. URL/#/runs/details/RUN"
)
LOGS = "All logs: URL/#/runs/details/RUN"
KUBECTL = "kubectl -n kubeflow"
MORE = f"{KUBECTL} get pods -o name | grep -e '-{{}}$' | xargs {KUBECTL} logs -c main"
MODEL_MISSING = "error: Model '/data/models/none': there is no such folder."


def replay(
    launch: Launch,
    looks: Sequence[Answer],
    *words: str,
    logs: dict[str, str] | None = None,
) -> tuple[int, list[str], list[str]]:
    """Return what `python pipeline.py` makes of answers, from the third line on."""
    with serving(KfpServer(looks, logs=logs)) as server:
        code, out, err = launch(server, *words)
    assert "".join(out[1:2]).endswith("URL/#/runs/details/RUN"), err
    return code, out[2:], err


def test_succeeded(launch):
    """Each step is told with its rows and rejects, and the last line has those of the run."""
    steps = dict.fromkeys([*SUCCEEDED, "caption_images", "export_dataset"], "")
    made = steps | {
        "download_images": "440 rows in, 18 failed (gone 12, slow 6)",
        "caption_images": "422 rows in, 1 failed (gone 1), 2 filtered (short 2)",
    }
    logs = {
        _pod(step, "stable-diffusion-85xtl"): f"I1126 13:27:46.1 1 main.go:139] Setting\n"
        f"INFO {step}: {lost}\n2026-11-26 13:27:49 INFO {step}: {rows} rows at /data/base/{step}\n"
        for (step, lost), rows in zip(made.items(), (22, 22, 440, 422, 419, 419), strict=True)
    }
    code, out, err = replay(launch, [recorded("succeeded")], logs=logs)
    assert (code, err) == (0, [])
    assert out[:-1] == [
        "[load_from_hub] succeeded: 22 rows",
        "[image_embedding] succeeded: 22 rows",
        "[laion_retrieval] succeeded: 440 rows",
        "[download_images] succeeded: 422 rows, 18 rejects (gone 12, slow 6)",
        "[caption_images] succeeded: 419 rows, 3 rejects (short 2, gone 1)",
        "[export_dataset] succeeded: 419 rows",
    ]
    assert out[-1] == (
        "succeeded in 4 min: 419 rows, 21 rejects (gone 13, slow 6, short 2), at "
        "/data/base/export_dataset. Look at it: fondant-spec show stable-diffusion/export_dataset "
        "--base-path memory://base"
    )


def _pod(step: str, workflow: str) -> str:
    """Return the id of a step's pod in a recording."""
    return node_id(f"{step.replace('_', '-')}(0)", "executor(0)", workflow=workflow)


def test_succeeded_with_slices(launch):
    """The same of a step that is spread; where its result is, is told without any log."""
    words = ["--fan-out", "caption_images=3"]
    code, out, err = replay(launch, [recorded("fan_out")], *words)
    assert (code, err) == (0, [])
    assert out == [
        *UNTIL_CAPTIONS,
        "[caption_images] succeeded",
        "[export_dataset] succeeded",
        f"succeeded in 4 min: {END}",
    ]


def test_running(launch):
    """A step that runs is told with what its pod prints of its rows."""
    looks = [recorded("running")] * 9 + [recorded("succeeded")]
    counts = "120/422, 8.1/s, 38 s left, 98.3 % ok (2 lost), 1.2 GB"
    printed = f"I1126 13:58:01 ...\nINFO download_images {counts}\n"
    pod = "stable-diffusion-n24d8-1731084687"
    code, out, _ = replay(launch, looks, logs={pod: printed})
    assert code == 0
    assert out[:4] == [*UNTIL_CAPTIONS[:3], "[download_images] running"]
    assert out[4] == f"[download_images] {counts}"


def test_waiting_for_a_node(launch):
    """A pod that does not start is told with what it asks for; "running" comes when it runs."""
    looks = [recorded("pending")] * 9 + [recorded("running"), recorded("succeeded")]
    code, out, _ = replay(launch, looks)
    assert (code, out[0], out[2]) == (0, UNTIL_CAPTIONS[0], UNTIL_CAPTIONS[1])
    wants, _, why = out[1].partition(". What it waits for: ")
    assert wants.startswith(
        "[image_embedding] its pod has not started for 0 s; it asks for 1 nvidia.com/gpu, a node "
        "with the label node_pool=gpu, "
    )
    assert wants.endswith("the image fondant/image_embedding:dev")
    assert why == (
        f"{KUBECTL} get pods -o name -l pipeline/runid=RUN --field-selector status.phase=Pending | "
        f"xargs {KUBECTL} describe"
    )


def test_failed(launch):
    """The error begins with the end of the failed step's own log."""
    logs = {"stable-diffusion-lv8pq-1251286912": recorded_log("failed_step")}
    assert replay(launch, [recorded("failed")], logs=logs) == (
        1,
        [*UNTIL_CAPTIONS, "[caption_images] failed"],
        [
            "error: step 'caption_images' failed with exit code 1. The end of its log:",
            MODEL_MISSING,
            LOGS,
        ],
    )


def test_failed_slice(launch):
    """A slice that failed is named."""
    logs = {"stable-diffusion-bwm79-1034268797": recorded_log("failed_step")}
    words = ["--fan-out", "caption_images=3"]
    code, _, err = replay(launch, [recorded("failed_slice")], *words, logs=logs)
    assert code == 1
    assert err[0] == (
        "error: step 'caption_images', slice 0 of 3, failed with exit code 1. The end of its log:"
    )
    assert err[1:] == [MODEL_MISSING, LOGS]


def test_killed_for_memory(launch):
    """A pod that the kernel killed is told so, with what to set."""
    logs = {"stable-diffusion-pblzb-2947542161": recorded_log("oom_step")}
    code, _, err = replay(launch, [recorded("oom")], logs=logs)
    assert code == 1
    assert err[0].startswith(
        "error: step 'caption_images' was killed, most likely because memory ran out (its pod "
    )
    assert err[0].endswith(
        "Give it more with `--set caption_images.@memory=...`, or in its `Resources` in the file "
        "of the pipeline."
    )
    assert err[1:] == [LOGS]


def test_terminated(launch):
    """A run that somebody ends is told so at once, and not as failed."""
    looks = [cancelling(recorded("terminated"))] * 3 + [recorded("terminated")]
    code, out, err = replay(launch, looks)
    assert (code, out) == (
        130,
        [
            "the run is being cancelled; the host ends its pods, which takes a minute",
            "[load_from_hub] cancelled",
        ],
    )
    assert err == [f"error: {CANCELLED}"]


@pytest.mark.parametrize(
    ("state", "code", "last"),
    [
        ("SUCCEEDED", 0, f"succeeded: {END}"),
        ("FAILED", 1, LOGS),
    ],
)
def test_tasks_that_are_listed_no_more(launch, state, code, last):
    """The end of a large workflow is told, too, although the host lists no step of it."""
    running = recorded("running")
    got, out, err = replay(launch, [running, compressed(running, state)])
    assert (got, [*out, *err][-1]) == (code, last)
    if err:
        assert err[0].startswith("error: the run failed. The host lists no step that did: Argo ")
        assert err[1] == (
            f"{KUBECTL} get workflow -l pipeline/runid=RUN -o "
            "jsonpath='{.items[*].status.message}'"
        )


def test_the_server_of_these_tests_is_like_the_real_one():
    """Answers that were made have the tasks of the recorded ones, and their children."""
    steps = ["load-from-hub", "image-embedding", "laion-retrieval", "download-images"]
    done = dict.fromkeys([*steps, "caption-images", "export-dataset"], "SUCCEEDED")
    spread = done | {"caption-images": ["SUCCEEDED"] * 3}
    for name, tasks in (("succeeded", done), ("fan_out", spread)):
        real, own = recorded(name), Look("SUCCEEDED", tasks).answer()
        workflow = min((n for n, _ in names(real) if n.startswith("stable-")), key=len)
        made = sorted((n.replace(WORKFLOW, workflow), count) for n, count in names(own))
        assert made == sorted(names(real))
    pods = ["caption-images(0)", "executor(0)"]
    assert node_id(*pods, workflow="stable-diffusion-lv8pq") == "stable-diffusion-lv8pq-1251286912"


GO = "F1126 13:38:47.232761      15 main.go:130] "
POD = ("numbers(0)", "executor(0)")
SOME = {"numbers": "SUCCEEDED", "double": ["FAILED", "SUCCEEDED", "FAILED"]}


def failure(look: Look, logs: dict[str, str] | None = None, plan: Plan | None = None) -> list[str]:
    """Return the lines of the error that a look at a plan gives, by default of the small one."""
    server = KfpServer([look], logs=logs)
    if logs is None:
        server.logs = None
    with serving(server), pytest.raises(StepFailedError) as caught:
        submit(server, plan)
    [run_id] = server.runs
    text = str(caught.value).replace(server.url, "URL").replace(run_id, "RUN")
    *lines, last = text.splitlines()
    assert last == LOGS
    return lines


def test_slices_that_fail_alike_are_told_once():
    """One reason is told once, with all its slices; another one beside it."""
    printed = "2026-01-01 00:00:0{0} ERROR partition {0}\nerror: no index at http://x ({0} rows)\n"
    end = f"{GO}failed to execute component: exit status 75\n"
    logs = {slice_id("double", n): printed.format(n) + end for n in (0, 2)}
    assert failure(Look("FAILED", SOME), logs) == [
        "step 'double', slices 0, 2 of 3, failed with exit code 75. The end of the first's log:",
        *printed.format(0).splitlines(),
    ]
    logs[slice_id("double", 2)] = f"error: the disk is full\n{end}"
    assert [line for line in failure(Look("FAILED", SOME), logs) if "slice" in line] == [
        "step 'double', slice 0 of 3, failed with exit code 75. The end of its log:",
        "step 'double', slice 2 of 3, failed with exit code 75. The end of its log:",
    ]


@pytest.mark.parametrize(("code", "may_pass"), [(75, True), (1, False)])
def test_a_failure_that_may_pass(code, may_pass):
    """Where a step ended because something was away, so does the command that follows it."""
    log = f"error: no index\n{GO}failed to execute component: exit status {code}\n"
    server = KfpServer([Look("FAILED", SOME)], logs={slice_id("double", n): log for n in (0, 2)})
    with serving(server), pytest.raises(StepFailedError) as caught:
        submit(server)
    assert caught.value.temporary is may_pass


def test_a_log_that_is_not_had():
    """Where the host gives no log, or an empty one, the command that shows it is named."""
    look = Look("FAILED", {"numbers": "FAILED"})
    pod = node_id(*POD)
    more = f"More: {MORE.format(pod.rpartition('-')[2])}"
    first, second = failure(look)
    assert first.startswith("step 'numbers' failed, and its log cannot be read here: URL does not ")
    assert second == more
    nothing = ["step 'numbers' failed, and the host has no log of it.", more]
    assert failure(look, {}) == nothing
    gone = '{"error_message":"Failed to read logs from pod","error_details":"..."}'
    assert failure(look, {pod: gone}) == nothing


def test_a_pod_that_ends_without_a_word():
    """A pod whose launcher was killed with it is told as stopped from outside."""
    pod = node_id(*POD)
    lines = failure(Look("FAILED", {"numbers": "FAILED"}), {pod: "INFO numbers 3/20, 1 s\n"})
    assert lines[0] == (
        "step 'numbers' was stopped from outside, as when memory runs out or its node goes away. "
        "The end of its log:"
    )
    assert lines[1] == "INFO numbers 3/20, 1 s"
    assert lines[2].startswith(f"More: {KUBECTL}")


def test_a_launcher_that_fails():
    """What Kubeflow's launcher says of itself is not taken for the step's own failure."""
    said = "failed to execute component: unable to upload to bucket"
    log = f"INFO numbers: 20 rows at /data\n{GO}{said}\n"
    assert failure(Look("FAILED", {"numbers": "FAILED"}), {node_id(*POD): log}) == [
        f"step 'numbers' failed in Kubeflow's own launcher ({said}). The end of its log:",
        "INFO numbers: 20 rows at /data",
    ]


def test_a_driver_that_fails():
    """Kubeflow's own driver is told from the step that it comes before."""
    look = Look("FAILED", {"numbers": "FAILED"}, {"numbers": "FAILED"})
    words = "KFP driver: driver.Container(pipelineName=small-one) failed: no such bucket"
    assert failure(look, {node_id("numbers-driver(0)"): GO + words}) == [
        "Kubeflow's own driver of step 'numbers' failed. The end of its log:",
        words,
    ]


def test_argo_fails():
    """A run that ends without a step that failed is told so, in the host's words if it has any."""
    lines = failure(Look("FAILED", {"numbers": "SUCCEEDED"}, error="deadline exceeded"))
    assert lines[0].startswith("the run failed: deadline exceeded. The host lists no step that did")


def test_a_step_that_took_too_long():
    """Of a run that Argo ended it is told what ran then, and how long that was allowed to."""
    pipeline = pair()
    pipeline.assign("double", "@timeout", 60)
    look = Look("FAILED", {"numbers": "SUCCEEDED", "double": ["RUNNING"] * 3})
    told = failure(look, plan=pipeline.plan("run-1"))[0]
    assert " At its end there ran double (its @timeout is 60 s). Argo's own words, " in told


@pytest.mark.parametrize("state", ["SKIPPED", "CANCELED"])
def test_other_ends(state):
    """Whatever ends without success is an error."""
    ended = pytest.raises((StepFailedError, RunCancelledError))
    with serving(KfpServer([Look(state)])) as server, ended:
        submit(server)


def test_several_pods_that_wait():
    """Of pods that began together it is told how many wait, and a driver's pod as what it is."""
    slices = Look("RUNNING", {"numbers": "SUCCEEDED", "double": ["RUNNING", "PENDING", "PENDING"]})
    driver = Look("RUNNING", {"numbers": "RUNNING"}, {"numbers": "PENDING"})
    idle = Look("PENDING")
    idle_answer = idle.answer() | {"run_details": {}}
    looks = [idle_answer] * 9 + [driver] * 9 + [slices] * 9 + [Look("SUCCEEDED")]
    printed = {slice_id("double", 0): "INFO double starts\nINFO double 3/20, 1 s\n"}
    with serving(KfpServer(looks, logs=printed)) as server:
        said = submit(server)
    told = [line.partition(";")[0] for line in said if "not started" in line]
    assert told[0].startswith("the run has not started for 0 s: Argo has not taken it up.")
    assert told[1].startswith("[numbers] Kubeflow's own driver pod has not started for 0 s. ")
    assert told[2] == "[double] 2 of 3 pods have not started for 0 s"
    assert "[double] 0 of 3 slices done; slice 0: 3/20, 1 s" in said


def test_a_server_without_layers_of_tries():
    """Steps of earlier servers, whose pods have no layer around them, are told the same."""
    waits = Look("RUNNING", {"numbers": "PENDING"}, tries=False)
    with serving(KfpServer([waits] * 9 + [Look("SUCCEEDED")])) as server:
        said = submit(server)
    assert any(line.startswith("[numbers] its pod has not started for 0 s; ") for line in said)
    assert "[numbers] running" not in said
    failed = Look("FAILED", {"numbers": "FAILED"}, tries=False)
    [pod] = [pod for pod in RunState.of(failed.answer()).pods if not pod.driver]
    log = f"error: no rows\n{GO}failed to execute component: exit status 1\n"
    assert failure(failed, {pod.node_id: log}) == [
        "step 'numbers' failed with exit code 1. The end of its log:",
        "error: no rows",
    ]


def test_a_stale_list_of_tasks():
    """A pod that prints has started, whatever an old list says."""
    looks = [Look("RUNNING", {"numbers": "PENDING"})] * 9 + [Look("SUCCEEDED")]
    pod = node_id(*POD)
    with serving(KfpServer(looks, logs={pod: "INFO numbers starts\n"})) as server:
        assert not any("not started" in line for line in submit(server))


def test_a_base_path_that_cannot_be_read():
    """A store that this machine cannot read is no error, and is asked once."""
    plan = pair("nosuch://bucket/my base").plan("run-1")
    with serving(KfpServer([Look("RUNNING"), Look("SUCCEEDED", {"numbers": "SUCCEEDED"})])) as one:
        said = submit(one, plan)
    assert said[-1] == (
        "succeeded in 4 min: the result of double is below nosuch://bucket/my base/small_one/"
        "double. Look at it: fondant-spec show small_one/double --base-path "
        "'nosuch://bucket/my base'"
    )


def followed(server: KfpServer) -> SubmittedRun:
    """Return a run that was just submitted."""
    host = Host(server.url)
    package = "pipelineInfo: {name: p}"
    run_id = host.submit(Submission("name", host.experiment("e"), inline(package)))
    return SubmittedRun.of(host, run_id, package, Cluster(), ResultsSeen(pair().plan("run-1")))


def test_a_host_that_goes_away_and_comes_back():
    """While the host is away the run is not given up; one line tells each change."""
    with serving(KfpServer(away=4)) as server:
        said = submit(server)
        assert said[1:3] == [
            f"{server.url} is in trouble (502); try again later. Trying again; the run goes on.",
            "the host is back",
        ]


def test_a_host_that_stays_away():
    """In the end following is given up, but not the run."""
    with serving(KfpServer(away=1_000_000)) as server:
        run = followed(server)
        with pytest.raises(HostError, match="The run goes on: ") as caught:
            follow(run, lambda _: None, interval=0.01, patience=0.05)
        assert run.id in str(caught.value)


class Interrupting(Look):
    """A look during which somebody presses Ctrl-C."""

    def answer(self) -> Answer:
        """Return what the server would say."""
        _thread.interrupt_main()
        return super().answer()


def test_ctrl_c_ends_the_following_alone(launch):
    """It is said that the run goes on, and not to run again, which would be a second run."""
    looks = [Look("RUNNING"), Interrupting("RUNNING")]
    with serving(KfpServer(looks)) as server, interrupts_arrive():
        code, _, err = launch(server)
    url = "URL/#/runs/details/RUN"
    told = f"error: no longer following; the run goes on, and can be terminated at {url}"
    assert (code, err) == (130, [told])


def test_a_run_that_is_deleted():
    """A run that is no more is not taken for a wrong HOST, nor said to go on."""
    with serving(KfpServer([Look("RUNNING")])) as server:
        run = followed(server)
        server.runs.clear()
        with pytest.raises(RunCancelledError) as caught:
            follow(run, lambda _: None, interval=0.01)
        assert str(caught.value) == (
            f"the run was deleted; what is finished is kept, run again to go on. {run.url}"
        )


def test_a_token_that_runs_out():
    """A host that no longer knows us is not asked again and again."""
    with serving(KfpServer([Look("RUNNING")])) as server:
        run = followed(server)
        server.headers = {"Authorization": "Bearer new"}
        said: list[str] = []
        with pytest.raises(HostError, match=r"does not know us \(401\).*The run goes on: "):
            follow(run, said.append, interval=0.01)
        assert said == []
