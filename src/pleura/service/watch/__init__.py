"""What the service watches of itself: the figures of each day, their drift, and the self-test."""

from pleura.service.watch.alarms import Alarm, Code, judge
from pleura.service.watch.daily import daily, last_run
from pleura.service.watch.days import Day, days, last_day_over
from pleura.service.watch.figures import Figures, summed
from pleura.service.watch.reference import Reference, current_reference, set_reference
from pleura.service.watch.standing import Change, standing

__all__ = [
    "Alarm",
    "Change",
    "Code",
    "Day",
    "Figures",
    "Reference",
    "current_reference",
    "daily",
    "days",
    "judge",
    "last_day_over",
    "last_run",
    "set_reference",
    "standing",
    "summed",
]
