"""What is written down for good: the interaction log, the events of the tools, the pictures."""

from backend.store.database import Database
from backend.store.events import EventJournal
from backend.store.interaction_log import InteractionLog
from backend.store.interactions import Interaction
from backend.store.picture_archive import PictureArchive

__all__ = ["Database", "EventJournal", "Interaction", "InteractionLog", "PictureArchive"]
