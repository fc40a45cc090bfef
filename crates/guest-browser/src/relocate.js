// What chrome://policy sees of a time zone, and of the languages by policy; null while it is loading.
(wanted => {
    const blocked = location.protocol === 'chrome-error:';
    if (document.readyState !== 'complete' || !blocked && !globalThis.cr?.webUIListenerCallback) return null;
    if (!blocked && globalThis.languagesTold === undefined) {
        globalThis.languagesTold = '';
        const find = node => {
            if (typeof node !== 'object' || node === null) return undefined;
            const value = node.ForcedLanguages?.value;
            if (value !== undefined) return [].concat(typeof value === 'string' ? JSON.parse(value) : value).join();
            for (const child of Object.values(node)) {
                const found = find(child);
                if (found !== undefined) return found;
            }
            return undefined;
        };
        const tell = cr.webUIListenerCallback;
        cr.webUIListenerCallback = (...said) => {
            if (said[0] === 'policies-updated') globalThis.languagesTold = find(said) ?? '';
            return tell.apply(cr, said);
        };
    }
    const languages = blocked ? null : globalThis.languagesTold;
    try {
        new Intl.DateTimeFormat('en', {timeZone: wanted});
    } catch {
        return {known: false, zone: false, languages};
    }
    const now = new Intl.DateTimeFormat('en').resolvedOptions().timeZone;
    const named = zone => new Temporal.ZonedDateTime(0n, zone);
    return {known: true, zone: now === wanted || named(now).equals(named(wanted)), languages};
})
