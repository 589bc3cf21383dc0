"""Shapes of what recordings take and give. No I/O."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, cast

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from lib.fields import (
    SHA256,
    Flag,
    Form,
    Moment,
    Number,
    Several,
    StrictSerializer,
    Whole,
    content_type,
    notes,
    sha256,
    tags,
    text,
)
from recordings.analysis.segments import unpack
from recordings.library import Edit
from recordings.models import Declaration, Marker, Recording
from recordings.uploads import Multipart, PartUrl, Single, WantedPart

Fields = dict[str, serializers.Field[Any, Any, Any, Any]]


class Named(TypedDict):
    name: str
    content_type: str


class UploadWishes(TypedDict, total=False):
    recorded_at: str
    sha256: str


Listing = TypedDict(
    "Listing",
    {
        "limit": int,
        "cursor": str,
        "shelf": str,
        "tag": str,
        "search": str,
        "from": NotRequired[str],
        "to": NotRequired[str],
    },
)


class Downloading(TypedDict):
    disposition: str
    redirect: bool


class Asking(TypedDict):
    cursor: str
    limit: int


class Listed(TypedDict):
    """A recording as lists have it. RecordingSerializer says what is what."""

    id: str
    name: str
    status: str
    size: int
    sha256: str
    content_type: str
    recorded_at: str
    created_at: str
    updated_at: str
    trashed_at: str | None
    verified_at: str | None
    playable: bool | None
    duration: float | None
    codec: str | None
    sample_rate: int | None
    channels: int | None
    bit_rate: int | None
    tags: list[str]
    notes: str
    favorite: bool
    version: int


class Detail(Listed):
    markers: list[Marker]


class Created(TypedDict):
    recording: Recording
    upload: Single | Multipart | None


class Waveform(TypedDict):
    peaks: list[int]
    duration: float
    segments: list[list[float]]


class Tombstone(TypedDict):
    id: str
    deleted: bool


class CreateSerializer(StrictSerializer[Declaration]):
    name = text(max_length=255)
    size = Whole(min_value=1, help_text="Bytes.")
    sha256 = sha256()
    content_type = content_type()
    recorded_at = Moment(required=False, help_text="Defaults to now.")
    tags = tags()
    notes = notes()


class UploadSerializer(StrictSerializer[Named]):
    """What the small upload says in its path and its headers."""

    name = text(max_length=255)
    content_type = content_type()


class UploadQuery(StrictSerializer[UploadWishes]):
    recorded_at = Moment(required=False, help_text="Defaults to now.")
    sha256 = Form(SHA256, required=False, help_text="Checked against what arrived.")


class MarkerSerializer(StrictSerializer[Marker]):
    at = Number(min_value=0, max_value=10**7, help_text="Seconds from the beginning.")
    label = text(max_length=100)  # type: ignore[assignment]  # a field, where DRF has a string

    def to_internal_value(self, data: Any) -> Any:
        """A marker is whole, also where a PATCH leaves other fields out."""
        if isinstance(data, Mapping) and (missing := [str(name) for name in self.fields if name not in data]):
            raise serializers.ValidationError(
                {name: [serializers.ErrorDetail("This field is required.", "required")] for name in missing}
            )
        return super().to_internal_value(data)

    def validate_at(self, value: float) -> float:
        return round(value, 3)


class EditSerializer(StrictSerializer[Edit]):
    name = text(max_length=255, required=False)
    tags = tags()
    notes = notes()
    favorite = Flag(required=False)
    markers = Several(child=MarkerSerializer(), max_length=200, required=False)

    def validate_markers(self, value: list[Marker]) -> list[Marker]:
        return sorted((Marker(**marker) for marker in value), key=lambda marker: marker["at"])


class ListQuery(StrictSerializer[Listing]):
    limit = serializers.IntegerField(min_value=1, max_value=200, default=50)
    cursor = serializers.CharField(
        default="", allow_blank=True, max_length=1000, help_text="`next_cursor` of the page before."
    )
    shelf = serializers.ChoiceField(["library", "trash", "uploading"], default="library")
    tag = text(max_length=50, default="", allow_blank=True)
    search = text(max_length=100, default="", allow_blank=True, help_text="Found in name or notes, whatever the case.")

    def get_fields(self) -> Fields:
        """`from` is a Python keyword."""
        start = Moment(required=False, help_text="recorded_at from here on.")
        end = Moment(required=False, help_text="recorded_at before this.")
        return {**super().get_fields(), "from": start, "to": end}

    def validate(self, attrs: Listing) -> Listing:
        if attrs.get("from", "") > attrs.get("to", "~"):  # DynamoDB refuses BETWEEN with such bounds
            raise serializers.ValidationError({"to": [serializers.ErrorDetail("It is before `from`.", "before_from")]})
        return attrs


class EmptyTrashQuery(StrictSerializer[dict[str, str]]):
    shelf = serializers.ChoiceField(["trash"], help_text="Only the trash can be emptied.")


class DestroyQuery(StrictSerializer[dict[str, bool]]):
    permanent = serializers.BooleanField(default=False, help_text="Purge it for good instead of trashing it.")


class DownloadQuery(StrictSerializer[Downloading]):
    disposition = serializers.ChoiceField(["attachment", "inline"], default="attachment")
    redirect = serializers.BooleanField(default=True, help_text="false answers 200 with the URL.")


class ChangesQuery(StrictSerializer[Asking]):
    cursor = serializers.CharField(
        default="", allow_blank=True, max_length=1000, help_text="Where the last call ended."
    )
    limit = serializers.IntegerField(min_value=1, max_value=100, default=100)


class CheckSerializer(StrictSerializer[dict[str, list[str]]]):
    sha256 = Several(child=sha256(), max_length=500)


class RecordingSerializer(serializers.Serializer[Recording]):
    id = serializers.CharField()
    name = serializers.CharField()
    status = serializers.ChoiceField(["uploading", "ready", "mismatch"])
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField()
    content_type = serializers.CharField()
    recorded_at = serializers.DateTimeField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    trashed_at = serializers.DateTimeField(allow_null=True)
    verified_at = serializers.DateTimeField(
        allow_null=True, help_text="When the stored bytes were proven to have this SHA-256."
    )
    playable = serializers.BooleanField(
        allow_null=True, help_text="Whether there is sound in it. null until it has been listened to."
    )
    duration = serializers.FloatField(allow_null=True, help_text="Seconds.")
    codec = serializers.CharField(allow_null=True)
    sample_rate = serializers.IntegerField(allow_null=True, help_text="Hertz.")
    channels = serializers.IntegerField(allow_null=True)
    bit_rate = serializers.IntegerField(allow_null=True, help_text="Bits a second.")
    tags = serializers.ListField(child=serializers.CharField())
    notes = serializers.CharField()
    favorite = serializers.BooleanField()
    version = serializers.IntegerField(help_text="The account's counter when this recording last changed.")

    def to_representation(self, instance: Recording) -> dict[str, Any]:
        """The stored values as they are: they have the API's form already."""
        values = instance.attribute_values
        return {name: values.get(name) for name in _NAMES}


def recording(row: Recording) -> Listed:
    return cast("Listed", _SHAPE.to_representation(row))


_SHAPE = RecordingSerializer()
_NAMES = tuple(str(name) for name in _SHAPE.fields)


class DetailSerializer(RecordingSerializer):
    """One recording, with what lists leave out."""

    markers = MarkerSerializer(many=True)


def detail(row: Recording) -> Detail:
    return {**recording(row), "markers": row.markers}


class MarkersQuery(StrictSerializer[dict[str, str]]):
    as_ = serializers.ChoiceField(["webvtt", "audacity"], default="webvtt")

    def get_fields(self) -> Fields:
        """`as` is a Python keyword."""
        fields = super().get_fields()
        return {"as": fields.pop("as_"), **fields}


class PartSerializer(StrictSerializer[WantedPart]):
    number = Whole(min_value=1, max_value=10_000)
    sha256 = sha256()


class PartsSerializer(StrictSerializer[dict[str, list[WantedPart]]]):
    parts = Several(child=PartSerializer(), min_length=1, max_length=100)

    def validate_parts(self, value: list[WantedPart]) -> list[WantedPart]:
        if len({part["number"] for part in value}) < len(value):
            raise serializers.ValidationError("A part is named twice.", "repeated")
        return value


class PartUrlSerializer(serializers.Serializer[PartUrl]):
    number = serializers.IntegerField()
    url = serializers.CharField(help_text="PUT exactly this part's bytes here, without Authorization.")
    headers = serializers.DictField(child=serializers.CharField(), help_text="Send these along, unchanged.")
    expires_at = serializers.DateTimeField()


class PartUrlsSerializer(serializers.Serializer[dict[str, list[PartUrl]]]):
    parts = PartUrlSerializer(many=True)


class SingleSerializer(serializers.Serializer[Single]):
    kind = serializers.ChoiceField(["single"])
    method = serializers.ChoiceField(["PUT"])
    url = serializers.CharField(help_text="Send exactly the declared bytes here, without Authorization.")
    headers = serializers.DictField(child=serializers.CharField(), help_text="Send these along, unchanged.")
    expires_at = serializers.DateTimeField(help_text="Create again for a fresh URL.")


class MultipartSerializer(serializers.Serializer[Multipart]):
    kind = serializers.ChoiceField(["multipart"])
    part_size = serializers.IntegerField(help_text="Bytes of each part but the last.")
    part_count = serializers.IntegerField()
    received = serializers.ListField(child=serializers.IntegerField(), help_text="Numbers of parts not needed again.")
    expires_at = serializers.DateTimeField(help_text="When URLs for parts that are asked for now end.")


UPLOAD = PolymorphicProxySerializer(
    component_name="Upload",
    serializers={"single": SingleSerializer, "multipart": MultipartSerializer},
    resource_type_field_name="kind",
)


class CreatedSerializer(serializers.Serializer[Created]):
    recording = RecordingSerializer()
    upload = serializers.SerializerMethodField(help_text="null: the bytes are here already.")

    @extend_schema_field(UPLOAD)
    def get_upload(self, created: Created) -> Single | Multipart | None:
        return created["upload"]


class PageSerializer(serializers.Serializer[dict[str, object]]):
    results = RecordingSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True, help_text="null on the last page.")


class DownloadSerializer(serializers.Serializer[dict[str, str]]):
    url = serializers.CharField()
    expires_at = serializers.DateTimeField()


class WaveformSerializer(serializers.Serializer[Waveform]):
    peaks = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=255),
        help_text="The loudest moment of each 800th of the recording; 255 is full scale.",
    )
    duration = serializers.FloatField(help_text="Seconds.")
    segments = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField(), min_length=2, max_length=2),
        help_text="At most 2,000 stretches with sound, each [start, end] in seconds. Between them it is silent.",
    )


def waveform(row: Recording) -> Waveform:
    """The heard recording's waveform."""
    segments = [list(stretch) for stretch in unpack(row.segments or b"")]
    return {"peaks": list(row.waveform), "duration": row.duration, "segments": segments}


class TombstoneSerializer(serializers.Serializer[Tombstone]):
    id = serializers.CharField()
    deleted = serializers.ChoiceField([True])


class ChangesSerializer(serializers.Serializer[dict[str, object]]):
    changes = serializers.SerializerMethodField()

    @extend_schema_field(
        serializers.ListField(
            child=PolymorphicProxySerializer(
                component_name="Change",
                serializers=[RecordingSerializer, TombstoneSerializer],
                resource_type_field_name=None,
            )
        )
    )
    def get_changes(self, answer: dict[str, object]) -> object:
        return answer["changes"]

    cursor = serializers.CharField(help_text="Keep it, and ask with it next time.")
    has_more = serializers.BooleanField(help_text="Ask again at once.")


class CheckedSerializer(serializers.Serializer[dict[str, str | None]]):
    sha256 = serializers.CharField()
    id = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(["ready", "uploading", "mismatch", "trashed", "missing"])


class CheckResultsSerializer(serializers.Serializer[dict[str, object]]):
    results = CheckedSerializer(many=True)


def changed(entry: Recording | str) -> Listed | Tombstone:
    """One entry of `changes`: a recording, or the tombstone of one that is gone."""
    return {"id": entry, "deleted": True} if isinstance(entry, str) else recording(entry)
