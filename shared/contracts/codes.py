"""Refusal codes, each with its rule and what to do about it (domain, Rules of publishing)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Code(StrEnum):
    """Every code a refusal can carry."""

    INVALID_IMAGE_STATUS = "InvalidImageStatus"
    PERMISSION_NOT_GRANTED = "PublishPermission.NotGranted"
    NOT_VERIFIED_ENTERPRISE = "Account.NotVerifiedEnterprise"
    AGREEMENT_NOT_SIGNED = "PublicImageAgreement.NotSigned"
    REGION_NOT_SUPPORTED = "CurrentRegion.NotSupportPublicImage"
    ENCRYPTED = "OperationDenied.EncryptedSnapshot"
    NAME_MALFORMED = "InvalidImageName.Malformed"
    DESCRIPTION_MALFORMED = "InvalidDescription.Malformed"
    NAME_SENSITIVE = "ImageName.ContainsSensitiveWords"
    DESCRIPTION_SENSITIVE = "ImageDescription.ContainsSensitiveWords"
    IMAGE_PUBLIC = "Image.Public"
    PUBLISH_IN_PROGRESS = "Image.PublishInProgress"
    NOT_OWNER = "Image.NotOwner"
    CHECK_FAILED = "ImageCheck.Failed"
    QUOTA_COMMUNITY_IMAGE = "QuotaExceed.CommunityImage"
    IMAGE_NOT_FOUND = "InvalidImageId.NotFound"
    NOT_PUBLIC = "Image.NotPublic"
    INSTANCE_NOT_FOUND = "InvalidInstanceId.NotFound"
    INSTANCE_DUPLICATE = "InvalidInstanceId.Duplicate"
    ACCOUNT_NOT_FOUND = "InvalidAccount.NotFound"
    ACCOUNT_NOT_ACTIVE = "Account.NotActive"
    TAKEN_DOWN = "Image.TakenDown"
    NOT_TAKEN_DOWN = "Image.NotTakenDown"
    CHECK_UNDETERMINED = "ImageCheck.Undetermined"
    CHECK_TIMED_OUT = "ImageCheck.TimedOut"
    WITHDRAWN = "Publication.Withdrawn"
    EXPIRED = "Request.Expired"
    PARAMETER_MISMATCH = "IdempotentParameterMismatch"
    COMMUNITY_IMAGE = "OperationDenied.CommunityImage"
    IMAGE_UNPUBLISHED = "OperationDenied.ImageUnpublished"
    QUOTA_SHARE = "QuotaExceed.ShareImageUser"
    ACTOR_NOT_ALLOWED = "Actor.NotAllowed"
    FAMILY_NOT_FOUND = "InvalidImageFamily.NotFound"


@dataclass(frozen=True, slots=True)
class CodeInfo:
    """The rule a code belongs to (None for others), what to do about it, and whether asking again may help."""

    rule: int | None
    advice: str
    retryable: bool = False


CODES: Final[dict[Code, CodeInfo]] = {
    Code.INVALID_IMAGE_STATUS: CodeInfo(1, "wait until the image is Available, or take one that is"),
    Code.PERMISSION_NOT_GRANTED: CodeInfo(2, "open a ticket for the publish permission and ask again once it is granted"),
    Code.NOT_VERIFIED_ENTERPRISE: CodeInfo(2, "have the account verified as an enterprise"),
    Code.AGREEMENT_NOT_SIGNED: CodeInfo(3, "sign the agreements named, at the versions named"),
    Code.REGION_NOT_SUPPORTED: CodeInfo(4, "publish in a region that allows community images"),
    Code.ENCRYPTED: CodeInfo(5, "make an image without encryption and publish that"),
    Code.NAME_MALFORMED: CodeInfo(
        6, "use 2 to 128 characters, beginning with a letter; letters, digits and . : _ - after it; not acs: or aliyun in front"
    ),
    Code.DESCRIPTION_MALFORMED: CodeInfo(
        7, "use one line of 2 to 256 characters without control characters, not beginning with http:// or https://"
    ),
    Code.NAME_SENSITIVE: CodeInfo(8, "take the words named out of the name"),
    Code.DESCRIPTION_SENSITIVE: CodeInfo(8, "take the words named out of the description"),
    Code.IMAGE_PUBLIC: CodeInfo(9, "the image is a community image already; unpublish it first to publish it anew"),
    Code.PUBLISH_IN_PROGRESS: CodeInfo(
        9, "wait for the answer to the earlier request, or unpublish to withdraw it", retryable=True
    ),
    Code.NOT_OWNER: CodeInfo(10, "ask the image's owner"),
    Code.CHECK_FAILED: CodeInfo(11, "mend what the items name, register the new content and publish again"),
    Code.QUOTA_COMMUNITY_IMAGE: CodeInfo(12, "unpublish an image of yours in this region, or ask for a larger quota"),
    Code.IMAGE_NOT_FOUND: CodeInfo(None, "check image id and region; the account's list of images shows what it may use"),
    Code.NOT_PUBLIC: CodeInfo(None, "there is nothing to unpublish"),
    Code.INSTANCE_NOT_FOUND: CodeInfo(None, "check instance id, account and region"),
    Code.INSTANCE_DUPLICATE: CodeInfo(None, "choose an instance id that was never used"),
    Code.ACCOUNT_NOT_FOUND: CodeInfo(None, "check the account id; the account service has to state it first"),
    Code.ACCOUNT_NOT_ACTIVE: CodeInfo(None, "the account is blocked or closed; ask its support"),
    Code.TAKEN_DOWN: CodeInfo(None, "ask the operator to lift the take-down"),
    Code.NOT_TAKEN_DOWN: CodeInfo(None, "there is no take-down to lift"),
    Code.CHECK_UNDETERMINED: CodeInfo(
        11, "publish again; if it repeats, see the report for what could not be judged", retryable=True
    ),
    Code.CHECK_TIMED_OUT: CodeInfo(11, "publish again later", retryable=True),
    Code.WITHDRAWN: CodeInfo(None, "the publication was withdrawn by an unpublish request; publish again if that was not meant"),
    Code.EXPIRED: CodeInfo(None, "send the request anew, with a later expires_at or none"),
    Code.PARAMETER_MISMATCH: CodeInfo(None, "use a new client token for a request with other content"),
    Code.COMMUNITY_IMAGE: CodeInfo(None, "a community image is visible to all already; unpublish it first"),
    Code.IMAGE_UNPUBLISHED: CodeInfo(None, "replace the OS: the system disk gets another image visible to the account"),
    Code.QUOTA_SHARE: CodeInfo(None, "take a share back first; an image has 50 at most"),
    Code.ACTOR_NOT_ALLOWED: CodeInfo(None, "an account acts for itself alone; operators use operator-requests"),
    Code.FAMILY_NOT_FOUND: CodeInfo(None, "check the family's name; it needs an Available image in this region"),
}
