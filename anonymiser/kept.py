"""Answers that were given lately, kept for whoever asks the same again."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Kept(Generic[Question, Answer]):
    """The answers to the questions that were asked last, at most `most` of them. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._found: OrderedDict[Question, Answer] = OrderedDict()

    def get(self, question: Question) -> Answer | None:
        """The answer, if it is here still."""
        with self._lock:
            if question in self._found:
                self._found.move_to_end(question)
            return self._found.get(question)

    def keep(self, question: Question, answer: Answer) -> None:
        """Remember it in the place of what was not asked for longest."""
        with self._lock:
            self._found[question] = answer
            while len(self._found) > self._most:
                self._found.popitem(last=False)
