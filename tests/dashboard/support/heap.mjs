// What the page's memory holds.

/** Whether a text is anywhere in the page's heap, after all garbage is collected. */
export async function heapHolds(page, text) {
  const session = await page.context().newCDPSession(page);
  try {
    let holds = false;
    let end = '';
    session.on('HeapProfiler.addHeapSnapshotChunk', ({ chunk }) => {
      holds ||= (end + chunk).includes(text);
      end = chunk.slice(-text.length);
    });
    await session.send('HeapProfiler.enable');
    await session.send('HeapProfiler.collectGarbage');
    await session.send('HeapProfiler.takeHeapSnapshot', { reportProgress: false });
    return holds;
  } finally {
    await session.detach();
  }
}
