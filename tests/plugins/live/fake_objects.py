"""Live's objects, as strict as Live: whatever a version has not, or does not allow, raises."""

from __future__ import annotations

import threading
from typing import Any

from tests.plugins.live.live_api import API, CALL, READ, Version, has


class Rules:
    """What holds for all objects of one Live.

    Attributes:
        is_notifying: Live tells of a change, during which it allows none.
        clips_made: how many clips of files a script has made.
    """

    def __init__(self, version: Version) -> None:
        self.version = version
        self.thread = threading.get_ident()
        self.is_notifying = False
        self.undo_depth = 0
        self.undo_steps = 0
        self.clips_made = 0


class LiveObject:
    """An object of Live. Names that begin with `f_` belong to the fake.

    A subclass has the values in `f_values` and methods and properties called `f_get_NAME`,
    `f_set_NAME` and `f_call_NAME`.
    """

    f_class = ""

    def __init__(self, rules: Rules, **values: Any) -> None:
        object.__setattr__(self, "f_rules", rules)
        object.__setattr__(self, "f_values", values)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("f_", "__")):
            return object.__getattribute__(self, name)
        self.f_check(name)
        if API[self.f_class][name][0] == CALL:
            return _Method(self, name)
        getter = getattr(type(self), "f_get_" + name, None)
        return self.f_values[name] if getter is None else getter(self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("f_"):
            object.__setattr__(self, name, value)
            return
        self.f_check(name)
        if API[self.f_class][name][0] in (READ, CALL):
            raise AttributeError(f"can't set attribute: {self.f_class}.{name}")
        self.f_change()
        setter = getattr(type(self), "f_set_" + name, None)
        if setter is None:
            self.f_values[name] = value
        else:
            setter(self, value)

    def f_check(self, name: str) -> None:
        if threading.get_ident() != self.f_rules.thread:
            raise RuntimeError("Live objects were touched outside of Live's main thread")
        if not has(self.f_class, name, self.f_rules.version):
            version = ".".join(map(str, self.f_rules.version))
            raise AttributeError(f"Live {version} has no {self.f_class}.{name}")

    def f_change(self) -> None:
        if self.f_rules.is_notifying:
            raise RuntimeError(
                "Changes cannot be triggered by notifications. "
                "You will need to defer your response."
            )


class _Method:
    """A function of Live: by position only, and a change unless it is a question."""

    def __init__(self, owner: LiveObject, name: str) -> None:
        self._owner = owner
        self._name = name

    def __call__(self, *values: Any) -> Any:
        if not self._name.endswith("_listener") and not self._name.startswith("get_"):
            self._owner.f_change()
        return getattr(type(self._owner), "f_call_" + self._name)(self._owner, *values)


class LimitationError(Exception):
    """Live's own: an edition has no more of something."""


class DeviceParameter(LiveObject):
    f_class = "DeviceParameter"

    def __init__(self, rules: Rules, name: str, low: float, high: float, value: float) -> None:
        super().__init__(rules, name=name, min=low, max=high, value=value)
        self.f_listeners: list[Any] = []

    def f_set_value(self, value: float) -> None:
        if not self.f_values["min"] <= value <= self.f_values["max"]:
            raise RuntimeError("Invalid value. Check the parameters range with min/max")
        if value != self.f_values["value"]:
            self.f_values["value"] = float(value)
            self.f_rules.is_notifying = True
            try:
                for listener in list(self.f_listeners):
                    listener()
            finally:
                self.f_rules.is_notifying = False

    def f_call_add_value_listener(self, callback: Any) -> None:
        if callback in self.f_listeners:
            raise RuntimeError("the listener is connected already")
        self.f_listeners.append(callback)

    def f_call_remove_value_listener(self, callback: Any) -> None:
        if callback not in self.f_listeners:
            raise RuntimeError("the listener is not connected")
        self.f_listeners.remove(callback)

    def f_call_value_has_listener(self, callback: Any) -> bool:
        return callback in self.f_listeners


class Device(LiveObject):
    f_class = "Device"

    def __init__(
        self, rules: Rules, name: str, class_name: str, parameters: list[DeviceParameter]
    ) -> None:
        super().__init__(rules, name=name, class_name=class_name, parameters=tuple(parameters))


class MidiNote(LiveObject):
    f_class = "MidiNote"

    def __init__(
        self,
        rules: Rules,
        pitch: int,
        start_time: float,
        duration: float,
        velocity: float = 100.0,
        mute: bool = False,
    ) -> None:
        super().__init__(
            rules,
            pitch=pitch,
            start_time=start_time,
            duration=duration,
            velocity=velocity,
            mute=mute,
        )
