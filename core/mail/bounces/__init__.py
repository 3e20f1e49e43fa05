"""What comes back: bounces, receipts, complaints and automatic answers are read here, without I/O.

`read` is the door; what it returns stands in `model`.
"""

from core.mail.bounces.model import About, Action, Nature, Notice, Reading
from core.mail.bounces.reading import read

__all__ = ["About", "Action", "Nature", "Notice", "Reading", "read"]
