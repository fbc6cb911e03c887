"""Requeueing and purging dead jobs in the store and dead messages in the broker, by one order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from hermesd.cli import exits
from hermesd.cli.broker_letters import Picked
from hermesd.cli.connection import connected
from hermesd.cli.exits import Failed
from hermesd.cli.options import URL_KEY
from hermesd.cli.parts import confirm, counted_jobs, rest_of, shown
from hermesd.cli.screen import Screen, printable
from hermesd.cli.settings import Settings
from hermesd.client import Client, Selection
from hermesd.config import Config, QueueKind, load
from hermesd.core.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from hermesd.cli.broker_dead import BrokerDead, Moved

STORE: Final = "store"
BROKER: Final = "broker"
BOTH: Final = "both"


@dataclass(frozen=True, kw_only=True)
class Act:
    """What is done to the chosen ones: `done` is its participle, `loss` whether they are gone."""

    name: str
    done: str
    store: Callable[..., Any]
    broker: Callable[[BrokerDead, Picked, int], Moved]
    loss: bool


@dataclass(frozen=True, kw_only=True)
class Order:
    """Which ones, in the store and (None: none) in the broker, and whether to ask first."""

    act: Act
    selection: Selection
    picked: Picked | None
    where: str
    dry_run: bool
    ask: bool


def asked_broker(settings: Settings, where: str) -> BrokerDead | None:
    """The broker's side of the dead-letter queue; None where the store is all there is.

    Raises ConfigError; but where --url tells the api, no configuration is needed on this machine.
    """
    if where == STORE:
        return None
    try:
        config = load(settings.config_paths, os.environ)
    except ConfigError as error:
        if where == BROKER or not click.get_current_context().meta.get(URL_KEY):
            raise
        Screen.of(settings).note(f"the store alone: {'; '.join(error.problems)}")
        return None
    return _broker_of(config, where)


def _broker_of(config: Config, where: str) -> BrokerDead | None:
    if config.queue.kind is not QueueKind.AMQP:
        if where == BROKER:
            raise ConfigError(["queue.kind: is not 'amqp', so there is no broker to ask"])
        return None
    # Here, since it takes longer to load than most commands take.
    from hermesd.cli.broker_dead import BrokerDead

    return BrokerDead(config.queue)


@contextmanager
def reached() -> Iterator[None]:
    """A broker that is not there ends the command as an api does that is not."""
    try:
        yield
    except Unavailable as error:
        raise Failed(exits.NOT_REACHED, error.detail, {"slug": error.slug}) from error


def carry_out(settings: Settings, order: Order) -> int:
    """Do it and tell; the exit code. The broker is asked first, so that both are there or none."""
    screen = Screen.of(settings)
    broker = asked_broker(settings, order.where)
    matched = 0
    if broker is not None and order.picked is not None:
        with reached():
            matched = broker.count(order.picked)
    told: dict[str, Any] = {}
    answer = None
    if order.where != BROKER:
        with connected(settings) as client:
            jobs = _confirm(order, client, matched)
            answer = _in_store(screen, order, client, jobs)
        if broker is None:
            _tell_store(screen, order, answer)
            return rest_of(screen, answer)
        told = {"matched": answer.matched, order.act.done: _changed(order, answer)}
    else:
        _confirm(order, None, matched)
    moved = None
    if broker is not None and order.picked is not None and matched and not order.dry_run:
        with reached():
            moved = order.act.broker(broker, order.picked, matched)
    code = _tell_both(screen, order, told, matched, moved)
    return code or (exits.OK if answer is None else rest_of(screen, answer))


def _confirm(order: Order, client: Client | None, messages: int) -> int | None:
    """Ask on a terminal, but not for the new run of a few jobs; how many jobs, where it was asked.

    Jobs that are named by their ids are a few, and a new run of them loses nothing.
    """
    if order.dry_run or not order.ask or not sys.stdin.isatty():
        return None
    if order.selection.get("ids") and not (order.act.loss or messages):
        return None
    parts, jobs = [], None
    if client is not None:
        jobs = _matched(order, client)
        parts.append(counted_jobs(jobs))
    if messages or client is None:
        parts.append(_messages(messages))
    for_good = " for good" if order.act.loss else ""
    question = f"{order.act.name.capitalize()} {' and '.join(parts)}{for_good}?"
    confirm(question, f"nothing was {_word(order)}")
    return jobs


def _matched(order: Order, client: Client) -> int:
    counted: int = order.act.store(client, dry_run=True, **order.selection).matched
    return counted


def _in_store(screen: Screen, order: Order, client: Client, jobs: int | None) -> Any:
    """Do it there, showing how far it has come; `jobs` are meant (None: not known yet)."""
    if order.dry_run:
        return order.act.store(client, dry_run=True, **order.selection)

    def total() -> int:
        return _matched(order, client) if jobs is None else jobs

    with shown(screen, order.act.name, total) as on_part:
        return order.act.store(client, on_part=on_part, **order.selection)


def _tell_store(screen: Screen, order: Order, answer: Any) -> None:
    if screen.as_json:
        done = {"matched": answer.matched, order.act.done: _changed(order, answer)}
        screen.emit({**done, "skipped": answer.skipped})
    elif order.dry_run:
        screen.line(f"{counted_jobs(answer.matched)} would be {_word(order)}")
    else:
        screen.line(f"{counted_jobs(_changed(order, answer))} {_word(order)}")


def _tell_both(
    screen: Screen, order: Order, store: dict[str, Any], matched: int, moved: Moved | None
) -> int:
    kept = moved.kept if moved else {}
    count = moved.moved if moved else 0
    complete = moved is None or moved.complete
    if screen.as_json:
        own = {"matched": matched, order.act.done: count, "kept": kept, "complete": complete}
        screen.emit({**store, "broker": own})
    else:
        would = "would be " if order.dry_run else ""
        key = "matched" if order.dry_run else order.act.done
        if store:
            screen.line(f"{counted_jobs(store[key])} {would}{_word(order)}")
        messages = _messages(matched if order.dry_run else count)
        screen.line(f"{messages} {would}{_word(order)}")
        for message_id, reason in kept.items():
            click.echo(printable(f"hermesd: {message_id}: {reason}"), err=True)
    if moved is not None and moved.error is not None:
        detail = f"after {_messages(count)}: {moved.error.detail}; the rest is where it was"
        raise Failed(exits.NOT_REACHED, detail, {"slug": moved.error.slug})
    if not complete:
        screen.note("there are more than can be looked at in one go: repeat it, or say --all")
    return exits.REFUSED if kept else exits.OK


def _changed(order: Order, answer: Any) -> int:
    changed: int = getattr(answer, order.act.done)
    return changed


def _word(order: Order) -> str:
    return "deleted" if order.act.loss else order.act.done


def _messages(count: int) -> str:
    return "1 message of the broker" if count == 1 else f"{count} messages of the broker"
