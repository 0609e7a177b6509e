"""Who calls: signed tokens (JWT, HS256)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.errors import ConfigurationError, InvalidInput
from domain.messages import MAX_ID_CHARS
from domain.text import is_one_line
from tools.registry import Caller, Role

ISSUER = "kefu-graph"
ALGORITHM = "HS256"
MIN_SECRET_BYTES = 32
"""RFC 7518, 3.2: at least the hash's size. Shorter ones can be tried out by who has a token."""
TOOLS_PATH = "/api/tools"
MCP_PATH = "/mcp"
_CONTACT_CHARS = 3 * MAX_ID_CHARS + 2  # channel, account and id
_REFUSED = {
    "ExpiredSignatureError": "令牌已过期，请重新签发",
    "ImmatureSignatureError": "令牌尚未生效",
    "InvalidIssuerError": f"令牌的 iss 应为 {ISSUER}",
    "InvalidAlgorithmError": f"令牌的签名算法应为 {ALGORITHM}",
    "InvalidSignatureError": "令牌的签名不正确",
    "MissingRequiredClaimError": "令牌缺少 exp、iss、sub 或 role",
}
_MALFORMED = "令牌的格式不正确"


class TokenRefused(InvalidInput):
    """Nobody is identified by this token."""

    def __init__(self, reason: str, field: str = "Authorization") -> None:
        super().__init__(field, reason, status=401)


@dataclass(frozen=True, slots=True)
class ClientCaller(Caller):
    """A client that signed in with its key. Its token ends with that key, and with the client's
    ``generation``: whoever reads it asks whether they still stand."""

    generation: int = 0
    key: int = 0


class Tokens:
    """Makes and reads tokens. PyJWT is imported by the first one: 0.1 s that most never need."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._long_enough = len(self._secret) >= MIN_SECRET_BYTES
        self.loaded = False

    def issue(self, caller: Caller, *, now: float, hours: float) -> str:
        """Raises ConfigurationError for a secret that cannot sign, TokenRefused for a token that
        could not be read."""
        import jwt

        if not self._long_enough:
            raise ConfigurationError(
                "SECRET_KEY",
                f"is shorter than {MIN_SECRET_BYTES} bytes",
                "a random text, e.g. what `openssl rand -hex 32` prints",
            )
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "iat": int(now),
            "exp": math.ceil(now + hours * 3_600),
            "sub": caller.name,
            "role": caller.role.value,
        }
        if caller.contact_id:
            claims["contact"] = caller.contact_id
        if isinstance(caller, ClientCaller):
            claims |= {"gen": caller.generation, "key": caller.key}
        _caller_of(claims)
        try:
            return jwt.encode(claims, self._secret, algorithm=ALGORITHM)
        except jwt.InvalidKeyError as error:
            raise ConfigurationError(
                "SECRET_KEY", "cannot sign a token", "a random text, not a certificate or key file"
            ) from error

    def read(self, token: str) -> Caller:
        """A `ClientCaller` where a client signed in. Raises TokenRefused."""
        import jwt

        self.loaded = True
        if not self._long_enough:
            raise TokenRefused(f"SECRET_KEY 不足 {MIN_SECRET_BYTES} 字节，不接受令牌")
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                options={"require": ["exp", "iss", "sub", "role"], "verify_aud": False},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise TokenRefused(_REFUSED.get(type(error).__name__, _MALFORMED)) from None
        return _caller_of(claims)


def _caller_of(claims: Mapping[str, Any]) -> Caller:
    name = _text_of(claims, "sub", MAX_ID_CHARS)
    try:
        role = Role(claims["role"])
    except ValueError:
        raise TokenRefused(f"令牌的 role 应为 {'、'.join(Role)} 之一") from None
    if "key" in claims:
        return _client_of(claims, role, name)
    if role is not Role.CUSTOMER:
        return Caller(role, name)
    contact = _text_of(claims, "contact", _CONTACT_CHARS)
    if contact.count(":") < 2:
        raise TokenRefused("令牌的 contact 应为 渠道:账号:客户编号")
    return Caller(role, name, contact)


def _client_of(claims: Mapping[str, Any], role: Role, name: str) -> ClientCaller:
    generation, key = claims.get("gen"), claims["key"]
    if not isinstance(generation, int) or not isinstance(key, int):
        raise TokenRefused("令牌的 gen 和 key 应为整数")
    return ClientCaller(role, name, generation=generation, key=key)


def _text_of(claims: Mapping[str, Any], claim: str, limit: int) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or not value:
        raise TokenRefused(f"令牌缺少 {claim}")
    if len(value) > limit or value.strip() != value or not is_one_line(value):
        raise TokenRefused(f"令牌的 {claim} 不能使用：过长，或含有空白和控制字符")
    return value
