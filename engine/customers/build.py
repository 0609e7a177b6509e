"""What is built for customers. Part of the composition root."""

from dataclasses import dataclass

from engine.customers.desk import CustomerDesk
from engine.customers.keeping import CustomerKeeping
from engine.regressions.files import Regressions, regressions_folder
from engine.settings import Settings
from knowledge.lessons import safe_wording
from storage.database import Database
from tools.pictures.store import PictureStore


@dataclass(slots=True)
class Customers:
    desk: CustomerDesk
    keeping: CustomerKeeping


def build_customers(settings: Settings, database: Database, store: PictureStore) -> Customers:
    regressions = Regressions(regressions_folder(settings))
    desk = CustomerDesk(database, store, regressions, wording_of=safe_wording)
    keeping = CustomerKeeping(
        database,
        desk,
        churn_days=settings.customer_churn_days,
        every_s=settings.customer_sweep_s,
    )
    return Customers(desk, keeping)
