"""The life span of an app, as its server drives it."""

import asyncio

import pytest
from starlette.applications import Starlette

from gateway.asgi import Message, Receive, Scope, Send
from gateway.server.lifespan import Lifespan


class App:
    """Answers each step as it is told to, and notes in which task it took it."""

    def __init__(self, **answers: str | Exception) -> None:
        self._answers = answers
        self.steps: list[str] = []
        self.tasks: set[object] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        for step in ("startup", "shutdown"):
            assert await receive() == {"type": f"lifespan.{step}"}
            self.steps.append(step)
            self.tasks.add(asyncio.current_task())
            scope["state"][step] = True
            answer = self._answers.get(step, "complete")
            if isinstance(answer, Exception):
                raise answer
            message: Message = {"type": f"lifespan.{step}.{answer}"}
            await send(message)


async def both(span: Lifespan) -> None:
    """From the start to the end."""
    await span.startup()
    await span.shutdown()


async def test_both_steps_are_taken_in_one_task() -> None:
    """So that an app may leave in the second what it entered in the first."""
    app = App()
    span = Lifespan(app)
    await span.startup()
    assert app.steps == ["startup"]
    assert span.state == {"startup": True}
    await span.shutdown()
    assert app.steps == ["startup", "shutdown"]
    assert len(app.tasks) == 1
    assert asyncio.current_task() not in app.tasks


@pytest.mark.parametrize("step", ["startup", "shutdown"])
async def test_what_the_app_raises_is_raised(step: str) -> None:
    """The very exception."""
    failure = LookupError("no keys")
    span = Lifespan(App(**{step: failure}))
    with pytest.raises(LookupError) as raised:
        await both(span)
    assert raised.value is failure


@pytest.mark.parametrize("step", ["startup", "shutdown"])
async def test_an_app_may_refuse_without_an_exception(step: str) -> None:
    """Then the error says which step it was."""
    span = Lifespan(App(**{step: "failed"}))
    with pytest.raises(RuntimeError, match=f"lifespan.{step}"):
        await both(span)


async def test_an_app_without_a_life_span_is_ready_at_once() -> None:
    """It returns, and is not asked for anything in the end."""

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        return

    await both(Lifespan(app))


async def test_starlette_takes_part() -> None:
    """The admin app's is Starlette's."""
    await both(Lifespan(Starlette()))
