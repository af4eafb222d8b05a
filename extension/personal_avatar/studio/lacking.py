"""What a plan needs and this machine has not, told before there is a job."""
from __future__ import annotations

from personal_avatar.environment import free, libraries
from personal_avatar.host import Host
from personal_avatar.jobs.executors import LOCAL
from personal_avatar.training.planning import needs
from personal_avatar.training.planning.plan import TrainPlan


def refuse_lacking(host: Host, plan: TrainPlan) -> None:
    """Raise `InvalidSettings` where the card or the library of the plan's optimiser is surely missing; nothing is asked
    where another machine does the work. Raises `TrainerMissing`."""
    needed = needs.OF_OPTIMISERS.get(plan.optimiser)
    if needed is None or host.rules().executor != LOCAL.name:
        return
    if needed.card and free.surely_cardless():
        raise needs.cardless(plan.optimiser)
    trainer = host.trainer()
    if not libraries.has_package(trainer, needed.module):
        raise needs.lacking(plan.optimiser, libraries.installing(trainer, needed.package))
