// What chrome://extensions has of some extensions: answered once they are as wanted, or when patience
// (milliseconds) is over; null while it is loading.
((ids, here, patience) => {
    if (location.protocol === 'chrome-error:') return {blocked: true, done: false, awake: false};
    const api = globalThis.chrome?.developerPrivate;
    if (document.readyState !== 'complete' || !api?.getExtensionsInfo) return null;
    if (!globalThis.woken) {
        globalThis.woken = new Set();
        api.onItemStateChanged.addListener(event => {
            if (event.event_type === 'SERVICE_WORKER_STARTED') globalThis.woken.add(event.item_id);
        });
    }
    const look = async () => {
        const infos = await api.getExtensionsInfo({includeDisabled: true, includeTerminated: true});
        const found = ids.map(id => infos.find(info => info.id === id));
        const done = found.every(info => here ? info?.state === 'ENABLED' : info === undefined);
        const awake = ids.every(id => globalThis.woken.has(id));
        return {blocked: false, done, awake};
    };
    return new Promise((resolve, reject) => {
        const finish = seen => {
            clearTimeout(timer);
            api.onItemStateChanged.removeListener(again);
            resolve(seen);
        };
        const again = async () => {
            const seen = await look();
            if (seen.done && (seen.awake || !here)) finish(seen);
        };
        const timer = setTimeout(() => look().then(finish, reject), patience);
        api.onItemStateChanged.addListener(again);
        again().catch(reject);
    });
})
