"""The Qingjian (轻简) bridge: shops' and WeCom chats over one local WebSocket."""
