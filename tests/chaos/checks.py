"""What must hold after every fault."""
from __future__ import annotations

import json

from personal_avatar.errors import NotFound
from personal_avatar.jobs import endings, kept, process
from personal_avatar.jobs.claims import CLAIM_FILE
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job

from tests.chaos import trainings
from tests.chaos.faults import GONE
from tests.chaos.learner import LEARN, STEPS, answer_of, checked
from tests.chaos.scene import Broken, Scene


def ended(scene: Scene, job: Job, allowed: frozenset[State]) -> State | None:
    """Wait for the end of a job, and look at all that it left; None for one that was taken away."""
    if allowed == GONE:
        gone(scene, job)
        return None
    state = scene.at_rest(job)
    demand(state in allowed, f"{job.title} is {state.value}, not {' or '.join(sorted(one.value for one in allowed))}")
    scene.until(lambda: not (scene.folder(job) / CLAIM_FILE).exists(), "its claim is given back")
    demand(scene.state(job) is state, f"{job.title} ended twice: {state.value}, then {scene.state(job).value}")
    if state is State.SUCCEEDED:
        demand(scene.ends(job) == 1, f"the result of {job.title} was taken {scene.ends(job)} times")
    if job.kind == LEARN:
        artefacts(scene, job, state)
    elif state is State.SUCCEEDED:
        trainings.same(scene, job)
    error = scene.store.status(job.id).error
    demand(state is State.SUCCEEDED or bool(error and error["code"] and error["message"]), "an end has no name")
    resting = (scene.folder(job) / kept.STATE_FOLDER).exists()
    demand(state is State.FAILED or not resting, f"{job.title} is {state.value} and its state lies there")
    return state


def gone(scene: Scene, job: Job) -> None:
    def unknown() -> bool:
        try:
            scene.store.view(job.id)
        except NotFound:
            return True
        return False

    scene.until(unknown, "nobody knows the job any more")
    scene.until(lambda: not process.child_of(scene.data / "jobs" / job.id), "its process has ended")
    demand(not endings.is_there(scene.data / "jobs" / job.id), "its folder came back")


def artefacts(scene: Scene, job: Job, state: State) -> None:
    """What was published is whole, and of a job that succeeded what an undisturbed one makes."""
    if state is State.SUCCEEDED:
        demand(scene.published(job)["answer"] == answer_of(job.title), f"{job.title} made something else")
        demand(scene.published(job)["steps"] == STEPS, f"{job.title} left steps out")
    path = scene.folder(job) / "artifacts" / "result.json"
    if path.exists():
        found = json.loads(path.read_bytes())
        demand(found["check"] == checked(found["steps"], found["answer"]), "a result is half-written")


def swept(scene: Scene) -> None:
    """After all have ended and the programs were stopped: no process and no claim stay, the index tells the truth."""
    demand(scene.processes() == [], f"processes stay: {scene.processes()}")
    claims = list((scene.data / "jobs").glob(f"*/{CLAIM_FILE}"))
    demand(claims == [], f"claims stay: {claims}")
    before = {view.job.id: view.status.state for view in scene.store.views()}
    scene.store.rebuild()
    demand(before == {view.job.id: view.status.state for view in scene.store.views()}, "the index told something else")


def demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)
