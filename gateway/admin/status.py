"""The replies of `/` and `/status`: the page, and the same as JSON.

Rule: imported when the status is first asked for, because most processes are never asked: a start
without it takes less time and memory.
"""

import asyncio

from starlette.responses import HTMLResponse, Response

from gateway.admin.overview import Overview
from gateway.admin.page import CLOSED, Page
from gateway.admin.sources import StatusSources
from gateway.observe.logs import json_line
from gateway.settings.wording import readable


class StatusReplies:
    """Makes both replies, anew for each request."""

    def __init__(self, sources: StatusSources) -> None:
        self._overview = Overview(sources)
        self._page = Page()

    async def page(self) -> Response:
        """The status page."""
        status = await self._overview.status()
        html = await asyncio.to_thread(self._page.render, status)
        return HTMLResponse(readable(html), headers={"content-security-policy": self._page.policy})

    async def as_json(self) -> Response:
        """The status as JSON."""
        body = json_line(await self._overview.status())
        headers = {"content-security-policy": CLOSED}
        return Response(body, media_type="application/json", headers=headers)
