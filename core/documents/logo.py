"""The logo of a company as its documents show it."""

from __future__ import annotations

import base64
import io

from PIL import Image, UnidentifiedImageError

from core.companies.models import Company

LOGO_BOX = (240, 64)
"""The logo fits into this box, in the engine's pixels of 1/96 inch."""


def logo_of(company: Company) -> tuple[str, int]:
    """Return the logo as a `data:` address and the height at which it fits its box, or ("", 0)."""
    if not company.logo:
        return "", 0
    try:
        with Image.open(io.BytesIO(company.logo)) as picture:
            width, height = picture.size
            media_type = Image.MIME.get(picture.format or "", "image/png")
    except (UnidentifiedImageError, OSError):
        return "", 0
    scale = min(LOGO_BOX[0] / width, LOGO_BOX[1] / height)
    return f"data:{media_type};base64,{base64.b64encode(company.logo).decode()}", round(height * scale)
