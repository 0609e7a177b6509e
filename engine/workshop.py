"""What is built for orders: the workshop, addresses of pictures, and their keeping."""

import httpx

from engine.orders.keeping import PictureKeeping
from engine.orders.links import PictureLinks, link_key
from engine.settings import Settings
from storage.database import Database
from tools.pictures.fetch import PictureFetcher
from tools.pictures.library import ImageSearchClient, PictureLibrary
from tools.pictures.provider import ImagesClient
from tools.pictures.store import PictureStore
from tools.pictures.workflow import Workshop

LIBRARY_INDEX = "picture-library.json"
_DAY_S = 86_400.0


def picture_fetcher(
    settings: Settings, http: httpx.AsyncClient, store: PictureStore
) -> PictureFetcher:
    return PictureFetcher(
        http,
        store,
        timeout=settings.picture_fetch_s,
        allow_private=settings.picture_allow_private,
    )


def build_workshop(
    settings: Settings,
    http: httpx.AsyncClient,
    picture_http: httpx.AsyncClient,
    store: PictureStore,
) -> Workshop:
    """``picture_http``: for addresses that others name, which lead nowhere private."""
    fetcher = picture_fetcher(settings, picture_http, store)
    images = search = library = None
    if settings.images_url:
        key = settings.images_api_key.get_secret_value() if settings.images_api_key else None
        images = ImagesClient(
            settings.images_url,
            key,
            settings.images_model,
            http,
            fetcher.fetch,
            timeout=settings.images_timeout_s,
        )
    if settings.picture_library is not None:
        library = PictureLibrary(
            settings.picture_library,
            settings.data_dir.expanduser() / LIBRARY_INDEX,
            rescan_seconds=settings.picture_library_rescan_s,
            limits=store.limits,
        )
    if settings.image_search_url:
        key = settings.image_search_key.get_secret_value() if settings.image_search_key else None
        search = ImageSearchClient(
            settings.image_search_url,
            key,
            http,
            fetcher.fetch,
            timeout=settings.image_search_timeout_s,
        )
    return Workshop(store.read, library, search, images, timeout=settings.picture_work_s)


def build_links(settings: Settings) -> PictureLinks:
    """Raises ConfigurationError where their key cannot be kept."""
    secret = settings.secret_key.get_secret_value() if settings.secret_key else None
    key = link_key(secret, settings.data_dir.expanduser())
    return PictureLinks(settings.address(), key, days=settings.picture_link_days)


def build_keeping(
    settings: Settings, database: Database, store: PictureStore
) -> PictureKeeping | None:
    """None where pictures are kept for ever. An address that was sent works to its end."""
    if not settings.picture_keep_days:
        return None
    days = max(settings.picture_keep_days, settings.picture_link_days)
    return PictureKeeping(database, store, keep_s=days * _DAY_S)
