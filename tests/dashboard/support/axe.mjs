// axe-core, run beside the page's own scripts, where the page's policy does not hold it up.
import axe from 'axe-core';

const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** What axe-core objects to in the page as it is now. */
export async function findings(page) {
  const session = await page.context().newCDPSession(page);
  try {
    const { frameTree } = await session.send('Page.getFrameTree');
    const { executionContextId: contextId } = await session.send('Page.createIsolatedWorld', {
      frameId: frameTree.frame.id,
      worldName: 'axe',
    });
    const run = async (expression) => {
      const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
        expression,
        contextId,
        awaitPromise: true,
        returnByValue: true,
      });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    };
    if (!(await run('typeof axe === "object"'))) await run(`${axe.source}; 0`);
    // Colours on their way to others are no finding.
    await run(`new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))
      .then(() => Promise.allSettled(document.getAnimations().map(({ finished }) => finished)))`);
    const options = JSON.stringify({ runOnly: TAGS, resultTypes: ['violations'] });
    const answer = await run(`axe.run(document, ${options}).then(({ violations }) => JSON.stringify(
      violations.map(({ id, help, nodes }) => ({
        id, help, nodes: nodes.map(({ target, failureSummary }) => ({ target, failureSummary })),
      }))))`);
    const violations = JSON.parse(answer);
    return violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id}: ${help}: ${target.join(' ')}: ${failureSummary}`),
    );
  } finally {
    await session.detach();
  }
}
